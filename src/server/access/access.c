#include "server/access/access.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "event/event.h"
#include "server/access/token_file.h"
#include "server/message/peer.h"

enum { LOG_EVERY_MS = 1000, NAME_SHOWN = 100 };

struct access {
	char *path; /* NULL: there is no file of tokens */
	pthread_mutex_t lock;
	struct tokens *now;
	uint64_t reloads;
	uint64_t reloads_failed;
	int64_t logged_ms;
	uint64_t unlogged;
	atomic_ullong denied[DENIAL_COUNT];
};

/* --- the current tokens --- */

static enum err load(struct access *a, struct tokens **out, struct fault *fault)
{
	bool open;
	enum err err = token_file_read(a->path, out, NULL, &open, fault);
	if (!err && open)
		log_warn("the file of tokens can be read by other users: chmod 600 it", "file=%s", log_text(a->path));
	return err;
}

enum err access_create(const char *path, struct access **out, struct fault *fault)
{
	struct access *a = calloc(1, sizeof *a);
	*out = NULL;
	if (a == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&a->lock, NULL);
	enum err err = ERR_NONE;
	if (path != NULL && (a->path = strdup(path)) == NULL)
		err = fault_nomem(fault);
	if (!err && path != NULL)
		err = load(a, &a->now, fault);
	if (err)
		access_destroy(a);
	else
		*out = a;
	return err;
}

void access_destroy(struct access *a)
{
	if (a == NULL)
		return;
	tokens_unref(a->now);
	pthread_mutex_destroy(&a->lock);
	free(a->path);
	free(a);
}

enum err access_reload(struct access *a, struct fault *fault)
{
	struct tokens *fresh = NULL;
	enum err err = a->path != NULL ? load(a, &fresh, fault) : ERR_NONE;
	pthread_mutex_lock(&a->lock);
	struct tokens *old = fresh;
	if (!err) {
		old = a->now;
		a->now = fresh;
	}
	a->reloads += !err;
	a->reloads_failed += err != ERR_NONE;
	pthread_mutex_unlock(&a->lock);
	tokens_unref(old);
	return err;
}

static struct tokens *hold(struct access *a)
{
	pthread_mutex_lock(&a->lock);
	struct tokens *t = a->now != NULL ? tokens_ref(a->now) : NULL;
	pthread_mutex_unlock(&a->lock);
	return t;
}

bool access_grant(struct access *a, struct slice text, struct grant *out)
{
	*out = (struct grant){.access = a, .tokens = hold(a)};
	if (out->tokens == NULL)
		return true;
	out->token = tokens_find(out->tokens, text);
	if (out->token == NULL)
		grant_drop(out);
	return out->token != NULL;
}

bool access_holds(const struct grant *g)
{
	if (g->token == NULL)
		return true;
	struct tokens *now = hold(g->access);
	bool holds = now == g->tokens || tokens_again(now, g->token) != NULL;
	tokens_unref(now);
	return holds;
}

/* --- denials --- */

const char *denial_name(enum denial why)
{
	static const char *const names[DENIAL_COUNT] = {"token", "scope", "stream", "origin", "host"};
	return names[why];
}

void access_denied(struct access *a, enum denial why, const char *token_name, uint64_t peer, struct slice what)
{
	char address[PEER_TEXT_LEN];
	char shown[LOG_TEXT_MAX];
	atomic_fetch_add(&a->denied[why], 1);
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&a->lock);
	bool log = a->logged_ms == 0 || now - a->logged_ms >= LOG_EVERY_MS;
	uint64_t unlogged = a->unlogged;
	a->logged_ms = log ? now : a->logged_ms;
	a->unlogged = log ? 0 : unlogged + 1;
	pthread_mutex_unlock(&a->lock);
	if (!log)
		return;
	peer_text(peer, address);
	log_warn("access denied", "why=%s peer=%s token=%s what=%s untold=%" PRIu64, denial_name(why), address,
		 token_name[0] != '\0' ? token_name : "-", log_quote(shown, what), unlogged);
}

void access_read(struct access *a, struct access_figures *out)
{
	*out = (struct access_figures){0};
	pthread_mutex_lock(&a->lock);
	out->tokens = a->now != NULL ? (uint64_t)tokens_count(a->now) : 0;
	out->reloads = a->reloads;
	out->reloads_failed = a->reloads_failed;
	pthread_mutex_unlock(&a->lock);
	for (int i = 0; i < DENIAL_COUNT; i++)
		out->denied[i] = atomic_load(&a->denied[i]);
}

/* --- grants --- */

void grant_drop(struct grant *g)
{
	tokens_unref(g->tokens);
	*g = (struct grant){0};
}

struct grant grant_share(const struct grant *g)
{
	struct grant shared = *g;
	if (g->tokens != NULL)
		tokens_ref(g->tokens);
	return shared;
}

bool grant_may(const struct grant *g, enum permission permission)
{
	const struct token *t = g->token;
	if (g->access == NULL)
		return permission == PERMISSION_NOTHING;
	if (t == NULL)
		return permission != PERMISSION_UNSAID;
	switch (permission) {
	case PERMISSION_UNSAID: return false;
	case PERMISSION_NOTHING: return true;
	case PERMISSION_PUBLISH: return (t->scopes & SCOPE_PUBLISH) != 0;
	case PERMISSION_READ: return (t->scopes & SCOPE_READ) != 0;
	case PERMISSION_PUBLISH_ALL: return (t->scopes & SCOPE_PUBLISH) != 0 && t->pattern_count == 0;
	case PERMISSION_READ_ALL: return (t->scopes & SCOPE_READ) != 0 && t->pattern_count == 0;
	case PERMISSION_ADMIN: return (t->scopes & SCOPE_ADMIN) != 0;
	}
	return false;
}

bool grant_is_limited(const struct grant *g)
{
	return g->token != NULL && g->token->pattern_count > 0;
}

bool grant_has_stream(const struct grant *g, struct slice stream)
{
	bool has = !grant_is_limited(g);
	for (int i = 0; !has && i < g->token->pattern_count; i++)
		has = filter_pattern_fits(g->token->patterns[i], stream);
	return has;
}

bool grant_next_stream(const struct grant *g, struct slice stream, struct slice *out)
{
	bool there = false;
	for (int i = 0; grant_is_limited(g) && i < g->token->pattern_count; i++) {
		struct slice p = g->token->patterns[i];
		if (p.len > 0 && p.p[p.len - 1] == '*')
			p.len--;
		if (slice_compare(p, stream) <= 0 || (there && slice_compare(p, *out) >= 0))
			continue;
		*out = p;
		there = true;
	}
	return there;
}

bool grant_narrow(const struct grant *g, struct filter *f)
{
	bool fine = true;
	for (int i = 0; fine && grant_is_limited(g) && i < g->token->pattern_count; i++)
		fine = filter_add_pattern(f, g->token->patterns[i]) == ERR_NONE;
	return fine;
}

bool grant_has_session(const struct grant *g, struct slice session)
{
	if (!grant_is_limited(g))
		return true;
	size_t n = strlen(g->token->name);
	return session.len >= n && memcmp(session.p, g->token->name, n) == 0 && (session.len == n || session.p[n] == '/');
}

enum err grant_publish_to(const struct grant *g, struct slice stream, uint64_t peer, struct fault *fault)
{
	if (grant_has_stream(g, stream))
		return ERR_NONE;
	access_denied(g->access, DENIAL_STREAM, grant_name(g), peer, stream);
	return fault_set(fault, ERR_DENIED, "this token may not publish to the stream %.*s",
			 (int)(stream.len < NAME_SHOWN ? stream.len : NAME_SHOWN), stream.p);
}

enum err grant_publish(const struct grant *g, const struct batch *b, uint64_t peer, struct fault *fault)
{
	for (size_t i = 0; grant_is_limited(g) && i < batch_count(b); i++) {
		enum err err = grant_publish_to(g, batch_event(b, i)->stream, peer, fault);
		if (err) {
			fault->place = (long)i;
			return err;
		}
	}
	return ERR_NONE;
}

uint64_t grant_client(const struct grant *g, uint64_t peer)
{
	uint64_t key = peer;
	if (g->token != NULL)
		memcpy(&key, g->token->hash, sizeof key);
	return key;
}

const char *grant_name(const struct grant *g)
{
	return g->token != NULL ? g->token->name : "";
}
