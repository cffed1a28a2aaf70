#include "base/system/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t read_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

static void put_digits(char *out, int width, int64_t value)
{
	for (int i = width - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_LEN])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;
	gmtime_r(&seconds, &t);
	memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_TEXT_LEN);
	put_digits(out, 4, t.tm_year + 1900);
	put_digits(out + 5, 2, t.tm_mon + 1);
	put_digits(out + 8, 2, t.tm_mday);
	put_digits(out + 11, 2, t.tm_hour);
	put_digits(out + 14, 2, t.tm_min);
	put_digits(out + 17, 2, t.tm_sec);
	put_digits(out + 20, 3, wall_ms % 1000);
}

void clock_write(struct buf *out, int64_t wall_ms)
{
	char text[CLOCK_TEXT_LEN];
	clock_format(wall_ms, text);
	buf_addc(out, '"');
	buf_add(out, text, sizeof text);
	buf_addc(out, '"');
}

void clock_write_seconds(struct buf *out, int64_t wall_ms)
{
	char text[CLOCK_TEXT_LEN];
	clock_format(wall_ms, text);
	buf_printf(out, "\"%.*sZ\"", (int)sizeof "2026-11-22T18:00:00" - 1, text);
}

bool clock_set_zone(const char *name)
{
	char value[64];
	char path[128];
	snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
	bool known = access(path, R_OK) == 0;
	snprintf(value, sizeof value, ":%s", name); /* a file, and no rule that it might be read as */
	/* What there is no file for counts as UTC, else under the name that was looked for. */
	if (setenv("TZ", known ? value : "UTC0", 1) != 0)
		return false;
	tzset();
	return known;
}

void clock_write_stamp(struct buf *out, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;
	char text[64];
	localtime_r(&seconds, &t);
	size_t len = strftime(text, sizeof text, "\"%Y-%m-%d %H:%M:%S %Z\"", &t);
	buf_add(out, text, len);
}

/* Reads exactly `width` digits at *at; advances it. */
static bool get_digits(struct slice s, size_t *at, int width, int *value)
{
	int v = 0;
	for (int i = 0; i < width; i++, (*at)++) {
		if (*at >= s.len || s.p[*at] < '0' || s.p[*at] > '9')
			return false;
		v = v * 10 + (s.p[*at] - '0');
	}
	*value = v;
	return true;
}

static bool get_char(struct slice s, size_t *at, const char *any_of)
{
	if (*at >= s.len || s.p[*at] == '\0' || strchr(any_of, s.p[*at]) == NULL)
		return false;
	(*at)++;
	return true;
}

static bool parse_fraction(struct slice s, size_t *at, int *ms)
{
	*ms = 0;
	if (!get_char(s, at, "."))
		return true;
	int scale = 100;
	size_t from = *at;
	bool more = false; /* than milliseconds can say */
	for (; *at < s.len && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
		*ms += (s.p[*at] - '0') * scale;
		more = more || (scale == 0 && s.p[*at] != '0');
		scale /= 10;
	}
	*ms += more;
	return *at > from;
}

static bool parse_offset(struct slice s, size_t *at, int *minutes)
{
	*minutes = 0;
	if (get_char(s, at, "Zz"))
		return true;
	int sign = *at < s.len && s.p[*at] == '-' ? -1 : 1;
	int h;
	int m;
	if (!get_char(s, at, "+-") || !get_digits(s, at, 2, &h) || !get_char(s, at, ":") || !get_digits(s, at, 2, &m))
		return false;
	*minutes = sign * (h * 60 + m);
	return h < 24 && m < 60;
}

bool clock_parse(struct slice text, int64_t *wall_ms)
{
	struct tm t = {0};
	size_t at = 0;
	int ms;
	int offset;
	if (!get_digits(text, &at, 4, &t.tm_year) || !get_char(text, &at, "-") || !get_digits(text, &at, 2, &t.tm_mon) ||
	    !get_char(text, &at, "-") || !get_digits(text, &at, 2, &t.tm_mday) || !get_char(text, &at, "Tt ") ||
	    !get_digits(text, &at, 2, &t.tm_hour) || !get_char(text, &at, ":") || !get_digits(text, &at, 2, &t.tm_min) ||
	    !get_char(text, &at, ":") || !get_digits(text, &at, 2, &t.tm_sec) || !parse_fraction(text, &at, &ms) ||
	    !parse_offset(text, &at, &offset) || at != text.len)
		return false;
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > month_days[t.tm_mon - 1] || t.tm_hour > 23 ||
	    t.tm_min > 59 || t.tm_sec > 60)
		return false;
	bool leap = (t.tm_year % 4 == 0 && t.tm_year % 100 != 0) || t.tm_year % 400 == 0;
	if (t.tm_mon == 2 && t.tm_mday == 29 && !leap)
		return false;
	t.tm_year -= 1900;
	t.tm_mon -= 1;
	time_t seconds = timegm(&t);
	*wall_ms = ((int64_t)seconds - offset * 60) * 1000 + ms;
	return true;
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
	return clock_cond_wait_us(cond, lock, ms * 1000);
}

bool clock_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(us / 1000000);
	t.tv_nsec += (long)(us % 1000000) * 1000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(cond, lock, &t) != ETIMEDOUT;
}
