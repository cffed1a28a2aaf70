/* What is told of leases. */
#include <ctype.h>

#include "base/system/clock.h"
#include "profiles/monitoring/leases/lease_internal.h"

static void write_member(struct buf *out, const char *key, struct slice text)
{
	buf_adds(out, key);
	buf_json(out, text);
}

void lease_write_note(struct buf *out, const struct leases *l, const struct lease *e)
{
	write_member(out, "{\"name\":", slice_of(l->options.limits[e->provider].name));
	write_member(out, ",\"holder\":", e->holder);
	write_member(out, ",\"session\":", e->session);
	write_member(out, ",\"conversation\":", e->conversation);
	buf_addc(out, '}');
}

static void put_time(struct buf *out, const char *key, int64_t ms)
{
	buf_adds(out, key);
	clock_write(out, ms);
}

static void write_lease(struct buf *out, const struct leases *l, const struct lease *e)
{
	int64_t silent_ms = clock_mono_ms() - e->renewed_ms;
	int64_t now = clock_wall_ms();
	buf_printf(out, "{\"id\":\"%s\"", e->id);
	write_member(out, ",\"name\":", slice_of(l->options.limits[e->provider].name));
	write_member(out, ",\"holder\":", e->holder);
	buf_adds(out, ",\"session\":");
	if (e->session.len > 0)
		buf_json(out, e->session);
	else
		buf_adds(out, "null");
	buf_adds(out, ",\"conversation\":");
	if (e->conversation.len > 0)
		buf_json(out, e->conversation);
	else
		buf_adds(out, "null");
	put_time(out, ",\"acquired_at\":", e->acquired_ms);
	put_time(out, ",\"renewed_at\":", now - silent_ms);
	put_time(out, ",\"expires_at\":", now - silent_ms + l->options.leak_ms);
	buf_addc(out, '}');
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

/* What the old system's diagnosis was to show, had anybody fed it. */
static void write_diagnosis(struct buf *out, const struct leases *l)
{
	int64_t now = clock_mono_ms();
	uint64_t silent = 0;
	LIST_EACH (link, &l->by_renewal) {
		if (now - LIST_ITEM(link, struct lease, by_renewal)->renewed_ms < l->options.leak_ms / 2)
			break;
		silent++;
	}
	buf_printf(out, "\"total_active\":%llu,\"potential_leaks\":%llu,\"by_name\":{",
		   (unsigned long long)used_by(l, LEASE_GLOBAL), (unsigned long long)silent);
	/* Those that have the name: a provider's lease is under the global limit, but is not counted twice here. */
	for (int i = LEASE_GLOBAL; i < l->options.limit_count; i = i == LEASE_GLOBAL ? LEASE_PROVIDERS : i + 1)
		buf_printf(out, "%s\"%s\":%llu", i == LEASE_GLOBAL ? "" : ",", l->options.limits[i].name,
			   (unsigned long long)l->used[i]);
	buf_adds(out, "},\"oldest\":");
	if (list_empty(&l->all)) {
		buf_adds(out, "null");
	} else {
		const struct lease *e = LIST_ITEM(l->all.next, struct lease, link);
		buf_printf(out, "{\"name\":\"%s\",\"age_seconds\":%.3f", l->options.limits[e->provider].name,
			   (double)(clock_wall_ms() - e->acquired_ms) / 1000);
		put_time(out, ",\"timestamp\":", e->acquired_ms);
		buf_addc(out, '}');
	}
	buf_printf(out, ",\"leak_threshold_seconds\":%.3f,\"total_leaks_detected\":%llu", (double)l->options.leak_ms / 1000,
		   (unsigned long long)l->leaks);
}

/* The first lease that was not written; NULL where all were. The last one that was may be gone meanwhile. */
static const struct lease *next_of(const struct leases *l, const struct lease_place *at)
{
	const struct lease *last = lease_find(l, slice_of(at->id));
	const struct list *link = last != NULL ? last->link.next : l->all.next;
	while (link != &l->all && LIST_ITEM(link, struct lease, link)->number <= at->number)
		link = link->next;
	return link != &l->all ? LIST_ITEM(link, struct lease, link) : NULL;
}

bool leases_write_part(struct leases *l, struct buf *out, struct lease_place *at)
{
	const struct lease *e;
	pthread_mutex_lock(&l->lock);
	if (at->number == 0)
		buf_adds(out, "{\"leases\":[");
	for (int i = 0; (e = next_of(l, at)) != NULL && i < LEASES_PART; i++) {
		buf_adds(out, at->number == 0 ? "" : ",");
		write_lease(out, l, e);
		at->number = e->number;
		memcpy(at->id, e->id, sizeof at->id);
	}
	if (e == NULL) {
		buf_adds(out, "],");
		write_diagnosis(out, l);
		buf_addc(out, '}');
	}
	pthread_mutex_unlock(&l->lock);
	return e == NULL;
}

/* --- the profile's forms --- */

static uint64_t percent(uint64_t used, uint64_t limit)
{
	return limit > 0 ? used * 100 / limit : 100;
}

static void write_use(struct buf *out, const struct leases *l, int name)
{
	uint64_t used = used_by(l, name);
	uint64_t limit = l->options.limits[name].limit;
	buf_printf(out, "{\"current\":%llu,\"limit\":%llu,\"available\":%llu,\"usage_percent\":%llu}",
		   (unsigned long long)used, (unsigned long long)limit,
		   (unsigned long long)(limit > used ? limit - used : 0), (unsigned long long)percent(used, limit));
}

/* More than the limit can be held only after the limit was lowered. */
static const char *state_of(const struct leases *l)
{
	for (int i = 0; i < l->options.limit_count; i++)
		if ((i == LEASE_GLOBAL || i >= LEASE_PROVIDERS) && used_by(l, i) > l->options.limits[i].limit)
			return "critical";
	return percent(used_by(l, LEASE_GLOBAL), l->options.limits[LEASE_GLOBAL].limit) > 80 ? "warning" : "healthy";
}

void leases_write_metrics(struct leases *l, struct buf *out, int port)
{
	pthread_mutex_lock(&l->lock);
	buf_printf(out, "{\"ports\":{\"%d\":", port);
	write_use(out, l, LEASE_GLOBAL);
	buf_adds(out, "},\"providers\":{");
	for (int i = LEASE_PROVIDERS; i < l->options.limit_count; i++) {
		char name[sizeof l->options.limits[i].name];
		size_t n = 0;
		for (; l->options.limits[i].name[n] != '\0'; n++)
			name[n] = (char)toupper((unsigned char)l->options.limits[i].name[n]);
		buf_printf(out, "%s\"%d_%.*s\":", i == LEASE_PROVIDERS ? "" : ",", port, (int)n, name);
		write_use(out, l, i);
	}
	buf_printf(out, "},\"total_leaks_detected\":%llu,\"health_status\":\"%s\"}", (unsigned long long)l->leaks,
		   state_of(l));
	pthread_mutex_unlock(&l->lock);
}

/* Free permits, out of how many, how much of them is used, and what that means. Being in use is no leak: one that was taken
 * back is, for as long again. */
static enum lease_health write_item(struct buf *out, const struct leases *l, int name)
{
	static const char *const words[] = {"healthy", "high_utilization", "leak_detected", "exhausted"};
	uint64_t limit = l->options.limits[name].limit;
	uint64_t used = used_by(l, name);
	enum lease_health grade = LEASES_HEALTHY;
	if (used >= limit)
		grade = LEASES_CRITICAL;
	else if (clock_mono_ms() - l->leaked_ms[name] < l->options.leak_ms)
		grade = LEASES_DEGRADED;
	else if (used * 10 >= limit * 9)
		grade = LEASES_WARNING;
	buf_printf(out, "{\"current\":%llu,\"expected\":%llu,\"utilization\":%.4f,\"status\":\"%s\"}",
		   (unsigned long long)(limit > used ? limit - used : 0), (unsigned long long)limit,
		   limit > 0 ? (double)used / (double)limit : 1, words[grade]);
	return grade;
}

static enum lease_health worse(enum lease_health a, enum lease_health b)
{
	return a > b ? a : b;
}

static enum lease_health write_items(struct leases *l, struct buf *out, bool in_use_is_fine, bool named)
{
	enum lease_health worst = LEASES_HEALTHY;
	struct buf providers;
	buf_init(&providers);
	pthread_mutex_lock(&l->lock);
	for (int i = LEASE_GLOBAL; i < l->options.limit_count; i = i == LEASE_GLOBAL ? LEASE_PROVIDERS : i + 1) {
		struct buf *to = i == LEASE_GLOBAL ? out : &providers;
		buf_printf(to, "%s\"%s\":", i > LEASE_PROVIDERS ? "," : "", l->options.limits[i].name);
		enum lease_health grade = write_item(to, l, i);
		worst = worse(worst, in_use_is_fine && grade == LEASES_CRITICAL ? LEASES_WARNING : grade);
	}
	pthread_mutex_unlock(&l->lock);
	buf_adds(out, ",\"providers\":{");
	if (named)
		buf_join(out, &providers, 0, 0);
	buf_adds(out, "}}");
	buf_finish(&providers);
	return worst;
}

static enum lease_health write_document(struct leases *l, struct buf *out, bool in_use_is_fine, bool named)
{
	static const char *const words[] = {"healthy", "warning", "degraded", "critical"};
	struct buf items;
	buf_init(&items);
	enum lease_health worst = write_items(l, &items, in_use_is_fine, named);
	const char *word = in_use_is_fine && worst == LEASES_WARNING ? "high_utilization" : words[worst];
	buf_printf(out, "{\"status\":\"%s\",", word);
	buf_join(out, &items, 0, 0);
	buf_finish(&items);
	return worst;
}

enum lease_health leases_write_health(struct leases *l, struct buf *out)
{
	return write_document(l, out, false, true);
}

enum lease_health leases_write_use(struct leases *l, struct buf *out, bool named)
{
	return write_document(l, out, true, named);
}
