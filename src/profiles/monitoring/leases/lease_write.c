/* Documents about leases. */
#include <ctype.h>
#include <stdio.h>

#include "base/system/clock.h"
#include "profiles/monitoring/leases/lease_internal.h"

void lease_write_note(struct buf *out, const struct leases *l, const struct lease *e)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "name", l->options.limits[e->provider].name);
	doc_text(root, "holder", e->holder);
	doc_text(root, "session", e->session);
	doc_text(root, "conversation", e->conversation);
	document_end(&d, out);
}

static void write_lease(struct buf *out, const struct leases *l, const struct lease *e)
{
	int64_t silent_ms = clock_mono_ms() - e->renewed_ms;
	int64_t now = clock_wall_ms();
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "id", e->id);
	doc_string(root, "name", l->options.limits[e->provider].name);
	doc_text(root, "holder", e->holder);
	doc_text_or_null(root, "session", e->session);
	doc_text_or_null(root, "conversation", e->conversation);
	doc_time(root, "acquired_at", e->acquired_ms);
	doc_time(root, "renewed_at", now - silent_ms);
	doc_time(root, "expires_at", now - silent_ms + l->options.leak_ms);
	document_end(&d, out);
}

bool leases_write_one(struct leases *l, struct buf *out, struct slice id)
{
	pthread_mutex_lock(&l->lock);
	const struct lease *e = lease_find(l, id);
	if (e != NULL)
		write_lease(out, l, e);
	pthread_mutex_unlock(&l->lock);
	return e != NULL;
}

static uint64_t used_by(const struct leases *l, int name)
{
	return name == LEASE_GLOBAL ? l->by_id.count : l->used[name];
}

/* A part of the Python hub's documents that it never filled. */
static void put_diagnosis(struct doc to, const struct leases *l)
{
	int64_t now = clock_mono_ms();
	uint64_t silent = 0;
	LIST_EACH (link, &l->by_renewal) {
		if (now - LIST_ITEM(link, struct lease, by_renewal)->renewed_ms < l->options.leak_ms / 2)
			break;
		silent++;
	}
	doc_u64(to, "total_active", used_by(l, LEASE_GLOBAL));
	doc_u64(to, "potential_leaks", silent);
	struct doc by_name = doc_object(to, "by_name");
	/* A provider's lease also counts against the global limit, but is not counted twice here. */
	for (int i = LEASE_GLOBAL; i < l->options.limit_count; i = i == LEASE_GLOBAL ? LEASE_PROVIDERS : i + 1)
		doc_u64(by_name, l->options.limits[i].name, l->used[i]);
	if (list_empty(&l->all)) {
		doc_null(to, "oldest");
	} else {
		const struct lease *e = LIST_ITEM(l->all.next, struct lease, link);
		struct doc oldest = doc_object(to, "oldest");
		doc_string(oldest, "name", l->options.limits[e->provider].name);
		doc_fixed(oldest, "age_seconds", (double)(clock_wall_ms() - e->acquired_ms) / 1000, 3);
		doc_time(oldest, "timestamp", e->acquired_ms);
	}
	doc_fixed(to, "leak_threshold_seconds", (double)l->options.leak_ms / 1000, 3);
	doc_u64(to, "total_leaks_detected", l->leaks);
}

/* The first lease that was not written; NULL: all were. The last one written may not exist any more. */
static const struct lease *next_of(const struct leases *l, const struct lease_cursor *at)
{
	const struct lease *last = lease_find(l, slice_of(at->id));
	const struct list *link = last != NULL ? last->link.next : l->all.next;
	while (link != &l->all && LIST_ITEM(link, struct lease, link)->number <= at->number)
		link = link->next;
	return link != &l->all ? LIST_ITEM(link, struct lease, link) : NULL;
}

bool leases_write_part(struct leases *l, struct buf *out, struct lease_cursor *at)
{
	const struct lease *e;
	struct document diagnosis;
	pthread_mutex_lock(&l->lock);
	if (at->number == 0)
		buf_adds(out, "{\"leases\":[");
	for (int i = 0; (e = next_of(l, at)) != NULL && i < LEASES_PART; i++) {
		buf_adds(out, at->number == 0 ? "" : ",");
		write_lease(out, l, e);
		at->number = e->number;
		memcpy(at->id, e->id, sizeof at->id);
	}
	if (e == NULL)
		put_diagnosis(document_begin(&diagnosis), l);
	pthread_mutex_unlock(&l->lock);
	if (e != NULL)
		return false;
	buf_addc(out, ']');
	document_end_tail(&diagnosis, out);
	return true;
}

/* --- documents of the profile --- */

static uint64_t percent(uint64_t used, uint64_t limit)
{
	return limit > 0 ? used * 100 / limit : 100;
}

static void put_use(struct doc to, const struct leases *l, int name)
{
	uint64_t used = used_by(l, name);
	uint64_t limit = l->options.limits[name].limit;
	doc_u64(to, "current", used);
	doc_u64(to, "limit", limit);
	doc_u64(to, "available", limit > used ? limit - used : 0);
	doc_u64(to, "usage_percent", percent(used, limit));
}

/* More leases than the limit are held only after the limit was lowered. */
static const char *state_of(const struct leases *l)
{
	for (int i = 0; i < l->options.limit_count; i++)
		if ((i == LEASE_GLOBAL || i >= LEASE_PROVIDERS) && used_by(l, i) > l->options.limits[i].limit)
			return "critical";
	return percent(used_by(l, LEASE_GLOBAL), l->options.limits[LEASE_GLOBAL].limit) > 80 ? "warning" : "healthy";
}

void leases_write_metrics(struct leases *l, struct doc to, int port)
{
	char name[sizeof l->options.limits->name + 16];
	size_t digits = (size_t)snprintf(name, sizeof name, "%d", port);
	pthread_mutex_lock(&l->lock);
	put_use(doc_object_named(doc_object(to, "ports"), (struct slice){name, digits}), l, LEASE_GLOBAL);
	struct doc providers = doc_object(to, "providers");
	for (int i = LEASE_PROVIDERS; i < l->options.limit_count; i++) {
		size_t n = digits + (size_t)snprintf(name + digits, sizeof name - digits, "_%s", l->options.limits[i].name);
		for (size_t at = digits; at < n; at++)
			name[at] = (char)toupper((unsigned char)name[at]);
		put_use(doc_object_named(providers, (struct slice){name, n}), l, i);
	}
	doc_u64(to, "total_leaks_detected", l->leaks);
	doc_string(to, "health_status", state_of(l));
	pthread_mutex_unlock(&l->lock);
}

/* Free permits, the limit, the utilization, and the resulting health. Permits in use are no problem; a revoked lease is
 * one for as long as it took to be revoked. */
static enum lease_health health_of(const struct leases *l, int name, int64_t now)
{
	uint64_t limit = l->options.limits[name].limit;
	uint64_t used = used_by(l, name);
	if (used >= limit)
		return LEASES_CRITICAL;
	if (now - l->leaked_ms[name] < l->options.leak_ms)
		return LEASES_DEGRADED;
	return used * 10 >= limit * 9 ? LEASES_WARNING : LEASES_HEALTHY;
}

static void put_item(struct doc in, const struct leases *l, int name, int64_t now)
{
	static const char *const words[] = {"healthy", "high_utilization", "leak_detected", "exhausted"};
	uint64_t limit = l->options.limits[name].limit;
	uint64_t used = used_by(l, name);
	struct doc item = doc_object(in, l->options.limits[name].name);
	doc_u64(item, "current", limit > used ? limit - used : 0);
	doc_u64(item, "expected", limit);
	doc_fixed(item, "utilization", limit > 0 ? (double)used / (double)limit : 1, 4);
	doc_string(item, "status", words[health_of(l, name, now)]);
}

static enum lease_health worst_of(const struct leases *l, bool in_use_is_fine, int64_t now)
{
	enum lease_health worst = LEASES_HEALTHY;
	for (int i = LEASE_GLOBAL; i < l->options.limit_count; i = i == LEASE_GLOBAL ? LEASE_PROVIDERS : i + 1) {
		enum lease_health health = health_of(l, i, now);
		if (in_use_is_fine && health == LEASES_CRITICAL)
			health = LEASES_WARNING;
		worst = health > worst ? health : worst;
	}
	return worst;
}

static enum lease_health put_document(struct leases *l, struct doc to, bool in_use_is_fine, bool named)
{
	static const char *const words[] = {"healthy", "warning", "degraded", "critical"};
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&l->lock);
	enum lease_health worst = worst_of(l, in_use_is_fine, now);
	doc_string(to, "status", in_use_is_fine && worst == LEASES_WARNING ? "high_utilization" : words[worst]);
	put_item(to, l, LEASE_GLOBAL, now);
	struct doc providers = doc_object(to, "providers");
	for (int i = LEASE_PROVIDERS; named && i < l->options.limit_count; i++)
		put_item(providers, l, i, now);
	pthread_mutex_unlock(&l->lock);
	return worst;
}

enum lease_health leases_write_health(struct leases *l, struct doc to)
{
	return put_document(l, to, false, true);
}

enum lease_health leases_write_use(struct leases *l, struct doc to, bool named)
{
	return put_document(l, to, true, named);
}
