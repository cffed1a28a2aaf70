#include "base/units.h"

#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
};

int units_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool units_integer(struct slice text, int64_t *value)
{
	int64_t v = 0;
	for (size_t i = 0; i < text.len; i++) {
		int digit = text.p[i] - '0';
		if (digit < 0 || digit > 9 || v > (INT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return text.len > 0;
}

static bool with_unit(struct slice text, const struct unit *units, int64_t *value)
{
	size_t digits = 0;
	while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	int64_t v;
	if (!units_integer((struct slice){text.p, digits}, &v))
		return false;
	struct slice name = {text.p + digits, text.len - digits};
	if (v == 0 && name.len == 0) {
		*value = 0;
		return true;
	}
	for (; units->name != NULL; units++) {
		if (!slice_is(name, units->name))
			continue;
		if (v > INT64_MAX / units->factor)
			return false;
		*value = v * units->factor;
		return true;
	}
	return false;
}

bool units_size(struct slice text, int64_t *bytes)
{
	static const struct unit units[] = {
		{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {NULL, 0}};
	return with_unit(text, units, bytes);
}

bool units_duration(struct slice text, int64_t *ms)
{
	static const struct unit units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}, {NULL, 0}};
	return with_unit(text, units, ms);
}

bool units_switch(struct slice text, bool *value)
{
	static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (text.len != strlen(words[i]) || strncasecmp(text.p, words[i], text.len) != 0)
			continue;
		*value = i % 2 == 1;
		return true;
	}
	return false;
}
