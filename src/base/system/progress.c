#include "base/system/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/system/clock.h"

enum {
	REDRAW_MS = 100,
	BAR_WIDTH = 24,
	WIDTH_DEFAULT = 80,
	LINE_LEN = 256,
};

void progress_init(struct progress *p, const char *what, const char *unit)
{
	int64_t now = clock_mono_ms();
	/* The first line comes after the first interval: work that is done by then needs none. */
	*p = (struct progress){
		.what = what, .unit = unit, .enabled = isatty(STDERR_FILENO), .started_ms = now, .drawn_ms = now};
}

static int terminal_width(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : WIDTH_DEFAULT;
}

static void format_bar(char bar[BAR_WIDTH + 1], double share)
{
	int full = (int)(share * BAR_WIDTH);
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < full ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
}

static int format(const struct progress *p, int64_t now, uint64_t count, uint64_t done, uint64_t all, char *line)
{
	double seconds = (double)(now - p->started_ms) / 1000;
	double rate = seconds > 0 ? (double)count / seconds : 0;
	if (all == 0)
		return snprintf(line, LINE_LEN, "%s: %" PRIu64 " %s, %.0f/s", p->what, count, p->unit, rate);
	char bar[BAR_WIDTH + 1];
	double share = done < all ? (double)done / (double)all : 1;
	format_bar(bar, share);
	return snprintf(line, LINE_LEN, "%s [%s] %3.0f %%  %" PRIu64 " %s, %.0f/s", p->what, bar, share * 100, count,
			p->unit, rate);
}

void progress_set(struct progress *p, uint64_t count, uint64_t done, uint64_t all)
{
	if (!p->enabled)
		return;
	int64_t now = clock_mono_ms();
	if (now - p->drawn_ms < REDRAW_MS)
		return;
	char line[LINE_LEN];
	int len = format(p, now, count, done, all, line);
	int width = terminal_width() - 1; /* a full last column would wrap */
	fprintf(stderr, "\r\033[K%.*s", len < width ? len : width, line);
	fflush(stderr);
	p->drawn_ms = now;
	p->shown = true;
}

void progress_clear(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
}
