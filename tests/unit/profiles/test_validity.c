/* Which flat events break a rule. */
#include "base/buf.h"
#include "profiles/monitoring/event/validity.h"
#include "unit/check.h"

static unsigned broken(const char *type, const char *data)
{
	char envelope[2048];
	struct flat flat;
	struct flat_more more;
	snprintf(envelope, sizeof envelope,
		 "{\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"kimi\",\"type\":\"%s\",\"data\":%s}", type,
		 data);
	CHECK(flat_read_more(slice_of(envelope), 1, &flat, &more));
	unsigned rules = validity_of(&flat, &more);
	CHECK(strchr(type, '\\') != NULL || rules == validity_check(slice_of(type), slice_of(data)));
	return rules;
}

static void rules_count_characters(void)
{
	char type[400] = "";
	char data[600];
	for (int i = 0; i < 50; i++)
		strcat(type, i % 2 == 0 ? "\xc3\xa4" : "\\ud83d\\ude00"); /* two bytes, and two halves: one character each */
	CHECK(broken(type, "{}") == 0);
	snprintf(data, sizeof data, "{\"type\":\"%s\",\"source\":\"%s\"}", type, type);
	CHECK(broken("event", data) == 0);
	strcat(type, "\\n");
	CHECK(broken(type, "{}") == 1u << VALID_TYPE_LENGTH);
	CHECK(broken("event", "{\"type\":\"\"}") == 1u << VALID_TYPE_LENGTH);
	CHECK(broken("event", "{\"type\":null,\"script\":null,\"timestamp\":null,\"metadata\":null}") == 0);
	CHECK(broken("event", "{\"type\":1,\"script\":[],\"timestamp\":{},\"metadata\":\"\"}") ==
	      (1u << VALID_TYPE_KIND | 1u << VALID_SOURCE_KIND | 1u << VALID_TIMESTAMP | 1u << VALID_METADATA));
	CHECK(broken("event", "[]") == 1u << VALID_DATA);
}

int main(void)
{
	RUN(rules_count_characters);
	return check_end();
}
