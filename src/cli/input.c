#include "cli/input.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/stop.h"

enum {
	BLOCK_BYTES = 256 * 1024,
	LINE_BYTES_MAX = 128 * 1024 * 1024, /* the maximum of --max-event is 64 MiB */
	POLL_MS = 1000,                     /* a signal between the check and the wait is noticed after this time */
};

void input_init(struct input *in)
{
	*in = (struct input){0};
	struct stat about;
	if (fstat(STDIN_FILENO, &about) != 0 || !S_ISREG(about.st_mode))
		return;
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	in->all = at >= 0 && at < about.st_size ? (uint64_t)(about.st_size - at) : 0;
}

void input_finish(struct input *in)
{
	buf_finish(&in->text);
}

/* The next complete line; at the end of the input also an incomplete one. */
static bool next_line(struct input *in, char **line, size_t *len)
{
	const char *end = in->text.data + in->text.len;
	char *from = in->text.data + in->at;
	char *newline =
		in->searched < in->text.len ? memchr(in->text.data + in->searched, '\n', in->text.len - in->searched) : NULL;
	in->searched = in->text.len;
	if (newline == NULL && (!in->ended || in->at == in->text.len))
		return false;
	*line = from;
	*len = (size_t)((newline != NULL ? newline : end) - from);
	in->at = newline != NULL ? in->at + *len + 1 : in->text.len;
	in->searched = in->at;
	in->line++;
	return true;
}

bool input_line(struct input *in, char **line, size_t *len)
{
	bool found = next_line(in, line, len);
	if (found && in->skipping) { /* this was the end of the line that is skipped */
		in->skipping = false;
		found = next_line(in, line, len);
	}
	return found;
}

/* Drops the part of a line that is too long. */
static enum err drop_line(struct input *in, struct fault *fault)
{
	fault_set(fault, ERR_TOO_LARGE, "the line is longer than %d MiB", LINE_BYTES_MAX / 1024 / 1024);
	fault->place = (long)in->line + 1;
	if (in->skip == NULL)
		return ERR_TOO_LARGE;
	if (!in->skipping)
		in->skip(in->skip_arg, in->line + 1, fault->text);
	in->skipping = true;
	buf_finish(&in->text);
	in->searched = 0;
	return ERR_NONE;
}

/* Drops the lines that were handed out, and reserves memory for a block. */
static enum err reserve_block(struct input *in, struct fault *fault)
{
	buf_drop(&in->text, in->at);
	in->searched -= in->at;
	in->at = 0;
	if (in->text.len > LINE_BYTES_MAX && drop_line(in, fault) != ERR_NONE)
		return fault->code;
	return buf_reserve(&in->text, BLOCK_BYTES) ? ERR_NONE : fault_nomem(fault);
}

/* Would a read not block? `wait`: waits until it would not. */
static bool is_ready(bool wait)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	int n;
	do
		n = poll(&p, 1, wait ? POLL_MS : 0);
	while (wait && n <= 0 && !stop_wanted());
	return n > 0;
}

enum input_state input_read(struct input *in, bool wait, struct fault *fault)
{
	if (in->ended)
		return INPUT_ENDED;
	bool ready = is_ready(wait);
	if (stop_wanted())
		return INPUT_STOPPED;
	if (!ready)
		return INPUT_NOTHING;
	if (reserve_block(in, fault) != ERR_NONE)
		return INPUT_FAILED;
	ssize_t n = read(STDIN_FILENO, in->text.data + in->text.len, in->text.cap - in->text.len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return INPUT_NOTHING;
	if (n < 0) {
		fault_set(fault, ERR_IO, "cannot read standard input: %s", strerror(errno));
		return INPUT_FAILED;
	}
	in->text.len += (size_t)n;
	in->bytes += (uint64_t)n;
	in->ended = n == 0;
	/* the last line need not end with a newline */
	return in->ended && in->at == in->text.len ? INPUT_ENDED : INPUT_SOME;
}
