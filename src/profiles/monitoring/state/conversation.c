#include "profiles/monitoring/state/conversation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/list.h"
#include "store/log/store.h"
#include "json/document.h"
#include "json/json.h"
#include "json/numbers.h"

enum {
	CONVERSATIONS_MAX = 10000, /* beyond that, the one that was silent longest is dropped */
	TEXT_MAX = CONVERSATION_TEXT_MAX,
	TOKENS_MAX = 128000,       /* for a model whose name does not tell */
	ACTIVE_MS = 5 * 60 * 1000, /* a conversation is active for this long after an event */
	FORGET_MS = 24 * 3600 * 1000,
};

/* Ids and models are kept as in JSON, without the quotes: they are compared and written, never decoded. */
struct conversation {
	struct map_link by_id;
	struct list in_age;
	uint64_t seen; /* seq of its last event */
	int64_t seen_ms;
	uint64_t messages;
	uint64_t tokens_used;
	uint64_t tokens_max;
	size_t model_len; /* 0: none known */
	size_t id_len;
	char model[TEXT_MAX];
	char id[];
};

struct conversations {
	struct map by_id;
	struct list by_age;          /* silent longest first */
	struct conversation *newest; /* of those with a model; NULL: none */
	int64_t now_ms;              /* time of the last event */
};

struct conversations *conversations_create(void)
{
	struct conversations *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	list_init(&c->by_age);
	map_init(&c->by_id);
	return c;
}

static void forget(struct conversations *c, struct conversation *e)
{
	map_remove(&c->by_id, &e->by_id);
	list_remove(&e->in_age);
	if (c->newest == e)
		c->newest = NULL;
	free(e);
}

void conversations_destroy(struct conversations *c)
{
	if (c == NULL)
		return;
	LIST_EACH (link, &c->by_age)
		forget(c, LIST_ITEM(link, struct conversation, in_age));
	map_finish(&c->by_id, NULL);
	free(c);
}

/* Finds or makes the conversation; NULL: no memory. */
static struct conversation *obtain(struct conversations *c, struct slice id)
{
	uint64_t hash = hash_text(id);
	MAP_EACH(link, &c->by_id, hash)
	{
		struct conversation *e = MAP_ITEM(link, struct conversation, by_id);
		if (slice_eq((struct slice){e->id, e->id_len}, id))
			return e;
	}
	struct conversation *e = calloc(1, sizeof *e + id.len);
	if (e == NULL)
		return NULL;
	slice_copy(e->id, id);
	e->id_len = id.len;
	e->tokens_max = TOKENS_MAX;
	map_add(&c->by_id, hash, &e->by_id);
	list_append(&c->by_age, &e->in_age);
	return e;
}

static void forget_old(struct conversations *c)
{
	while (!list_empty(&c->by_age)) {
		struct conversation *oldest = LIST_ITEM(c->by_age.next, struct conversation, in_age);
		if (c->by_id.count <= CONVERSATIONS_MAX && oldest->seen_ms + FORGET_MS > c->now_ms)
			return;
		forget(c, oldest);
	}
}

/* --- an event --- */

/* What an event's metadata tell about its conversation: its own metadata, or the payload itself. */
struct mention {
	struct slice continuation;
	struct slice conversation;
	struct slice model;
	struct slice tokens;
};

static void look_for(struct slice object, struct mention *m)
{
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		if (json_key_is(w.key, "continuation_id"))
			m->continuation = w.value;
		else if (json_key_is(w.key, "conversation_id"))
			m->conversation = w.value;
		else if (json_key_is(w.key, "model"))
			m->model = w.value;
		else if (json_key_is(w.key, "tokens"))
			m->tokens = w.value;
	}
}

/* The content of a JSON string of valid length; empty for any other value. */
static struct slice text_of(struct slice value)
{
	bool fine = value.p != NULL && json_kind(value) == JSON_STRING && value.len - 2 <= TEXT_MAX;
	return fine ? (struct slice){value.p + 1, value.len - 2} : (struct slice){"", 0};
}

/* The size of a model's context, from its name: 128k, 32k, 8k. */
static uint64_t tokens_of(struct slice model, uint64_t otherwise)
{
	static const struct {
		const char *mark;
		uint64_t tokens;
	} sizes[] = {{"128k", 128000}, {"32k", 32000}, {"8k", 8000}};
	char name[TEXT_MAX + 1];
	snprintf(name, sizeof name, "%.*s", (int)model.len, model.p);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (strcasestr(name, sizes[i].mark) != NULL)
			return sizes[i].tokens;
	return otherwise;
}

static void see(struct conversations *c, struct conversation *e, const struct flat *f)
{
	e->seen = f->seq;
	e->seen_ms = f->time_ms;
	list_remove(&e->in_age);
	list_append(&c->by_age, &e->in_age);
}

bool conversations_add(struct conversations *c, const struct flat *f)
{
	struct mention m = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
	if (json_kind(f->data) == JSON_OBJECT)
		look_for(f->data, &m);
	if (f->metadata.p != NULL)
		look_for(f->metadata, &m);
	struct slice id = text_of(m.continuation).len > 0 ? text_of(m.continuation) : text_of(m.conversation);
	struct slice model = text_of(m.model);
	bool talks = model.len > 0 && (f->service == SERVICE_KIMI || f->service == SERVICE_GLM);
	bool named = id.len > 0;
	if (!named && !talks)
		return false;
	struct conversation *e = obtain(c, named ? id : slice_of("default"));
	if (e == NULL)
		return named || talks;
	uint64_t tokens = 0;
	c->now_ms = f->time_ms;
	see(c, e, f);
	e->messages += named;
	if (talks) {
		slice_copy(e->model, model);
		e->model_len = model.len;
		c->newest = e;
	}
	if (named && m.tokens.p != NULL && json_sequence(m.tokens, &tokens) && tokens > 0) {
		e->tokens_used = tokens;
		e->tokens_max = tokens_of(model, e->tokens_max);
	}
	forget_old(c);
	return true;
}

/* Visits only active conversations, and expired ones that the next event will drop: few of very many. */
void conversations_read(const struct conversations *c, int64_t now_ms, struct conversation_figures *out)
{
	*out = (struct conversation_figures){.total = c->by_id.count, .tokens_max = TOKENS_MAX};
	for (const struct list *l = c->by_age.next; l != &c->by_age; l = l->next) {
		if (LIST_ITEM(l, struct conversation, in_age)->seen_ms + FORGET_MS > now_ms)
			break;
		out->total--;
	}
	for (const struct list *l = c->by_age.prev; l != &c->by_age; l = l->prev) {
		if (LIST_ITEM(l, struct conversation, in_age)->seen_ms + ACTIVE_MS <= now_ms)
			break;
		out->active++;
	}
	const struct conversation *e = c->newest;
	if (e == NULL || e->seen_ms + FORGET_MS <= now_ms)
		return;
	out->messages = e->messages;
	out->tokens_used = e->tokens_used;
	out->tokens_max = e->tokens_max;
	out->model_len = e->model_len;
	slice_copy(out->model, (struct slice){e->model, e->model_len});
}

/* As in JSON, with quotes added. */
static void put_model(struct doc to, const char *key, struct slice model)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "\"%.*s\"", (int)model.len, model.p);
	doc_raw_take(to, key, &text);
}

void conversations_write(struct buf *out, const struct conversation_figures *f)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_u64(root, "active_sessions", f->active);
	doc_u64(root, "total_sessions", f->total);
	doc_u64(root, "conversation_length", f->messages);
	put_model(root, "current_model", f->model_len > 0 ? (struct slice){f->model, f->model_len} : slice_of("--"));
	doc_u64(root, "context_tokens_used", f->tokens_used);
	doc_u64(root, "context_tokens_max", f->tokens_max);
	document_end(&d, out);
}

/* --- keeping --- */

/* [messages, tokens used, maximum tokens, last time, whether it is the newest with a model], and the model. */
enum { NUMBERS = 5 };

static enum err save_one(const struct conversations *c, const struct conversation *e, struct store *store,
			 struct fault *fault)
{
	struct document note;
	struct buf text;
	const uint64_t n[NUMBERS] = {e->messages, e->tokens_used, e->tokens_max, (uint64_t)e->seen_ms, c->newest == e};
	struct doc root = document_begin(&note);
	buf_init(&text);
	numbers_write(&text, n, NUMBERS);
	doc_raw_take(root, "numbers", &text);
	put_model(root, "model", (struct slice){e->model, e->model_len});
	document_end(&note, &text);
	enum err err = buf_failed(&text) ? fault_nomem(fault)
					 : store_note_put(store, "conversation", (struct slice){e->id, e->id_len},
							  (int64_t)e->seen, buf_slice(&text), fault);
	buf_finish(&text);
	return err;
}

enum err conversations_save(const struct conversations *c, struct store *store, uint64_t saved, struct fault *fault)
{
	enum err err = ERR_NONE;
	uint64_t oldest =
		list_empty(&c->by_age) ? UINT64_MAX >> 1 : LIST_ITEM(c->by_age.next, struct conversation, in_age)->seen;
	for (const struct list *l = c->by_age.prev; !err && l != &c->by_age; l = l->prev) {
		const struct conversation *e = LIST_ITEM(l, struct conversation, in_age);
		if (e->seen <= saved)
			break;
		err = save_one(c, e, store, fault);
	}
	return err ? err : store_note_trim(store, "conversation", (int64_t)oldest, fault);
}

static enum err on_load(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct conversations *c = arg;
	struct slice numbers;
	struct slice model;
	uint64_t n[NUMBERS];
	bool fine = value.len > 0 && value.p[0] == '{' && json_member(value, "numbers", &numbers) &&
		    numbers_read(numbers, n, NUMBERS) && json_member(value, "model", &model);
	if (!fine)
		return ERR_CORRUPT;
	struct conversation *e = obtain(c, key);
	if (e == NULL)
		return ERR_NOMEM;
	e->seen = (uint64_t)at;
	e->messages = n[0];
	e->tokens_used = n[1];
	e->tokens_max = n[2];
	e->seen_ms = (int64_t)n[3];
	struct slice name = text_of(model);
	slice_copy(e->model, name);
	e->model_len = name.len;
	/* Conversations are loaded in the order of age, so the last one with the mark is the newest. */
	c->newest = n[4] != 0 ? e : c->newest;
	return ERR_NONE;
}

enum err conversations_load(struct conversations *c, struct store *store, struct fault *fault)
{
	return store_note_each(store, "conversation", on_load, c, fault);
}
