/* What an event is about: categories, and the condition by which readers choose them. */
#include "event/where.h"
#include "profiles/monitoring/event/category.h"
#include "profiles/monitoring/profile.h"
#include "unit/check.h"

static const char *category(const char *type, const char *data)
{
	char envelope[512];
	snprintf(envelope, sizeof envelope,
		 "{\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"kimi\",\"type\":\"%s\",\"data\":%s}", type,
		 data);
	struct flat flat;
	struct flat_more more;
	CHECK(flat_read_more(slice_of(envelope), 1, &flat, &more));
	enum category by_type = category_of_type(flat.type);
	CHECK(category_of(&flat) == (by_type != CATEGORIES ? by_type : category_of_data(&flat, &more)));
	return category_name(category_of(&flat));
}

static void a_category_is_of_the_type_a_part_of_it_or_the_data(void)
{
	static const char *const wanted[][3] = {
		{"health_check", "{}", "critical"},
		{"semaphore_metrics", "{}", "performance"},
		{"session_start", "{}", "user_activity"},
		{"stats", "{}", "system"},
		{"test_event", "{}", "debug"},
		{"API_TIMEOUT", "{}", "critical"},
		{"cache_error", "{}", "critical"}, /* the first part that is found */
		{"user_cache", "{}", "performance"},
		{"new_user", "{}", "user_activity"},
		{"developer", "{}", "debug"},
		{"event", "{\"error\":\"e\"}", "critical"},
		{"event", "{\"error\":null,\"exception\":\"\"}", "system"},
		{"event", "{\"metrics\":{},\"exception\":\"x\"}", "critical"},
		{"event", "{\"performance\":1}", "performance"},
		{"event", "5", "system"},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		CHECK(strcmp(category(wanted[i][0], wanted[i][1]), wanted[i][2]) == 0);
	CHECK(category_find(slice_of("debug")) == CATEGORY_DEBUG && category_find(slice_of("x")) == CATEGORIES);
}

static struct where *make(const char *condition)
{
	struct where *w = where_create();
	CHECK(w != NULL && where_add(w, slice_of(condition)) == ERR_NONE);
	return w;
}

static bool is_of(const char *condition, const char *type, const char *data)
{
	struct where *w = make(condition);
	bool result = where_holds(w, slice_of(type), slice_of(data));
	where_unref(w);
	return result;
}

static void categories_are_conditions(void)
{
	struct where *w = make("category=critical");
	CHECK(is_of("category=critical", "failure", "{}") && is_of("category=critical", "any", "{\"direction\":\"error\"}"));
	CHECK(is_of("category=debug", "debug", "1") && is_of("category=system", "any", "{}"));
	CHECK(!is_of("category=debug", "failure", "{}"));
	CHECK(where_add(w, slice_of("category=debug")) == ERR_TOO_LARGE && where_add(w, slice_of("/a=1")) == ERR_NONE);
	CHECK(where_holds(w, slice_of("error"), slice_of("{\"a\":1}")) &&
	      !where_holds(w, slice_of("error"), slice_of("{\"a\":2}")));
	where_unref(w);
	w = where_create();
	CHECK(where_add(w, slice_of("category=none")) == ERR_INVALID &&
	      where_add(w, slice_of("kind=critical")) == ERR_INVALID);
	where_unref(w);
}

int main(void)
{
	monitoring_profile.declare();
	RUN(a_category_is_of_the_type_a_part_of_it_or_the_data);
	RUN(categories_are_conditions);
	return check_end();
}
