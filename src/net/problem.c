#include "net/problem.h"

#include <string.h>

#include "base/random.h"
#include "event/json.h"

enum { RETRY_SPREAD_S = 5 };

int problem_status(enum err code)
{
	switch (code) {
	case ERR_NONE: return 200;
	case ERR_INVALID: return 400;
	case ERR_DENIED: return 403;
	case ERR_NOT_FOUND: return 404;
	case ERR_CONFLICT: return 409;
	case ERR_GONE: return 410;
	case ERR_TOO_LARGE: return 413;
	case ERR_RATE: return 429;
	case ERR_FULL: return 507;
	case ERR_BUSY:
	case ERR_NOMEM:
	case ERR_IO:
	case ERR_CLOSED: return 503;
	case ERR_CORRUPT:
	case ERR_NEWER:
	case ERR_LOCKED: break;
	}
	return 500;
}

const char *problem_title(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 413: return "Content Too Large";
	case 415: return "Unsupported Media Type";
	case 421: return "Misdirected Request";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 503: return "Service Unavailable";
	case 507: return "Insufficient Storage";
	default: return "Internal Server Error";
	}
}

int problem_retry_after(int status)
{
	static const struct {
		int status;
		int least;
	} waits[] = {{503, 1}, {507, 5}};
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
		if (waits[i].status == status)
			return waits[i].least + (int)(random_u64() % RETRY_SPREAD_S);
	return 0;
}

/* A detail may quote what the client sent, or be cut within a character: where it is not clean, only ASCII stays. */
static void put_detail(struct buf *out, const char *detail)
{
	char clean[sizeof((struct fault *)0)->text];
	struct slice text = slice_of(detail);
	if (!json_plain_text(text) && text.len < sizeof clean) {
		for (size_t i = 0; i < text.len; i++)
			clean[i] = (char)(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
		text.p = clean;
	}
	buf_json(out, text);
}

void problem_write(struct buf *out, int status, const struct fault *fault, bool line_form)
{
	buf_printf(out, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":", problem_title(status),
		   status);
	put_detail(out, fault->text);
	if (fault->place >= 0)
		buf_printf(out, ",\"%s\":%ld", line_form ? "line" : "index", fault->place);
	buf_addc(out, '}');
}
