#include "profiles/monitoring/event/category.h"

#include <string.h>

#include "json/json.h"

const char *category_name(enum category category)
{
	static const char *const names[CATEGORIES] = {"critical", "performance", "user_activity", "system", "debug"};
	return names[category];
}

enum category category_find(struct slice name)
{
	enum category c = CATEGORY_CRITICAL;
	while (c < CATEGORIES && !slice_is(name, category_name(c)))
		c++;
	return c;
}

struct word {
	const char *text;
	enum category category;
};

static const struct word types[] = {
	{"health_check", CATEGORY_CRITICAL},
	{"circuit_breaker_open", CATEGORY_CRITICAL},
	{"circuit_breaker_close", CATEGORY_CRITICAL},
	{"error", CATEGORY_CRITICAL},
	{"failure", CATEGORY_CRITICAL},
	{"cache_metrics", CATEGORY_PERFORMANCE},
	{"semaphore_metrics", CATEGORY_PERFORMANCE},
	{"response_time", CATEGORY_PERFORMANCE},
	{"latency", CATEGORY_PERFORMANCE},
	{"session_metrics", CATEGORY_USER_ACTIVITY},
	{"user_activity", CATEGORY_USER_ACTIVITY},
	{"session_start", CATEGORY_USER_ACTIVITY},
	{"session_end", CATEGORY_USER_ACTIVITY},
	{"connection_status", CATEGORY_SYSTEM},
	{"websocket_health", CATEGORY_SYSTEM},
	{"initial_stats", CATEGORY_SYSTEM},
	{"stats", CATEGORY_SYSTEM},
	{"export_complete", CATEGORY_SYSTEM},
	{"test_event", CATEGORY_DEBUG},
	{"debug", CATEGORY_DEBUG},
};

/* Parts of a type: the first one found counts. */
static const struct word parts[] = {
	{"error", CATEGORY_CRITICAL},
	{"fail", CATEGORY_CRITICAL},
	{"critical", CATEGORY_CRITICAL},
	{"alert", CATEGORY_CRITICAL},
	{"timeout", CATEGORY_CRITICAL},
	{"exception", CATEGORY_CRITICAL},
	{"cache", CATEGORY_PERFORMANCE},
	{"metric", CATEGORY_PERFORMANCE},
	{"performance", CATEGORY_PERFORMANCE},
	{"latency", CATEGORY_PERFORMANCE},
	{"session", CATEGORY_USER_ACTIVITY},
	{"user", CATEGORY_USER_ACTIVITY},
	{"activity", CATEGORY_USER_ACTIVITY},
	{"test", CATEGORY_DEBUG},
	{"debug", CATEGORY_DEBUG},
	{"dev", CATEGORY_DEBUG},
};

static bool contains(struct slice text, const char *part)
{
	size_t len = strlen(part);
	for (size_t i = 0; i + len <= text.len; i++)
		if (strncasecmp(text.p + i, part, len) == 0)
			return true;
	return false;
}

static bool says_something(struct slice value)
{
	return value.p != NULL && json_kind(value) != JSON_NULL && json_kind(value) != JSON_FALSE &&
	       !slice_is(value, "\"\"");
}

enum category category_of_type(struct slice type)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (type.len == strlen(types[i].text) && strncasecmp(type.p, types[i].text, type.len) == 0)
			return types[i].category;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (contains(type, parts[i].text))
			return parts[i].category;
	return CATEGORIES;
}

enum category category_of_data(const struct flat *f, const struct flat_more *more)
{
	if (flat_is_error(f) || says_something(more->exception))
		return CATEGORY_CRITICAL;
	return says_something(more->metrics) || says_something(more->performance) ? CATEGORY_PERFORMANCE : CATEGORY_SYSTEM;
}

enum category category_of(const struct flat *f)
{
	struct flat_more more = {0};
	enum category category = category_of_type(f->type);
	if (category != CATEGORIES)
		return category;
	if (json_kind(f->data) == JSON_OBJECT) {
		json_member(f->data, "exception", &more.exception);
		json_member(f->data, "metrics", &more.metrics);
		json_member(f->data, "performance", &more.performance);
	}
	return category_of_data(f, &more);
}
