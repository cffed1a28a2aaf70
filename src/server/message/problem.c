#include "server/message/problem.h"

#include <stdio.h>
#include <string.h>

#include "base/kind.h"
#include "base/system/random.h"
#include "store/archive/manifest.h"
#include "json/document.h"
#include "json/json.h"

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

/* All problems. Of those with the same status, the first is used if the fault does not tell the kind. */
static const struct problem {
	const char *name;
	int status;
	const char *what; /* what has happened */
	const char *now;  /* what to do */
} problems[] = {
	{"invalid-request", 400, "A part of the request is invalid: a parameter, a header, the body, or one of its events.",
	 "The detail names the part; \"line\" or \"index\" tell which event. Nothing was stored. Sending the same "
	 "again fails "
	 "again."},
	{"unauthorized", 401, "The server requires a token, and the request has none that it knows.",
	 "Send it as Authorization: Bearer, or as ?access_token= where headers cannot be set."},
	{"forbidden", 403, "The token is known, but its scopes or streams do not cover this.",
	 "Use another token; \"tidemark token\" lists the scopes and streams of each."},
	{KIND_ORIGIN, 403, "A page of another origin has requested something that only the server's own pages may do.",
	 "List the origin with --allow-origin."},
	{"not-found", 404, "There is nothing at this path or of this name, and there never was.",
	 "Check the path and the name."},
	{"method-not-allowed", 405, "The path exists, but does not support this method.",
	 "The header Allow lists the supported methods."},
	{"conflict", 409, "The request conflicts with the current state.", "Read the current state, and decide again."},
	{KIND_EXPECTATION, 409, "The last seq of the stream is not the one that the request expected. Nothing was stored.",
	 "\"actual\" is the stream's last seq, \"expected\" that of the request: read the events published in between, "
	 "and try again. It is null where the store begins with an imported tail, and the stream may have had events before "
	 "it: "
	 "restore these, publish without \"expect\", or start with --accept-loss, which takes such streams for new ones."},
	{KIND_LEASES, 409, "All leases of this name are held.", "Try again when a lease has been released."},
	{"removed", 410, "The requested data existed, and retention has removed it.",
	 "Archives and backups may still have it."},
	{"precondition-failed", 412,
	 "The current version does not satisfy a condition of the request (If-Match, If-Unmodified-Since).",
	 "Fetch it again, and decide again."},
	{"too-large", 413, "The request, or one of its events, is larger than the server accepts.",
	 "The detail names the limit. Send less at once."},
	{"unsupported-media-type", 415, "The body has a type that this path does not support.",
	 "The detail lists the supported types."},
	{"range-not-satisfiable", 416, "The requested range is outside the file.",
	 "The header Content-Range tells the file's length."},
	{"misdirected-request", 421, "The Host header does not have a name of this server.",
	 "List the name with --allow-host if it is right."},
	{"upgrade-required", 426, "This path is a WebSocket.", "Connect to it with a WebSocket client, version 13."},
	{"too-many-requests", 429, "Publishing was faster than the rate limits allow.",
	 "Wait for as long as Retry-After says."},
	{KIND_SHARE, 429,
	 "This client (a token, or else an address) has used up its share of a resource: connections, requests, "
	 "searches, uploads, "
	 "the queue, unread answers, exports, sessions, names. The detail names the resource.",
	 "Read pending answers or finish pending requests, then wait for as long as Retry-After says, and try again."},
	{"header-too-large", 431, "The request head is too large.", "Send fewer or shorter headers and parameters."},
	{"internal-error", 500,
	 "The server cannot handle the request because stored data is damaged; the request itself is fine.",
	 "The server's log has details. \"tidemark verify\" finds the damage."},
	{"unavailable", 503, "The server cannot handle the request at the moment.",
	 "Wait for as long as Retry-After says, and try again."},
	{KIND_QUEUE_FULL, 503,
	 "More is being published than can be stored; the queue is full. Nothing of the request was stored.",
	 "Wait for as long as Retry-After says, and send it again."},
	{KIND_COMMITS_FAIL, 503,
	 "The store cannot commit, for example because the disk fails. Publishing stops until it can; reading "
	 "goes on.",
	 "Try again; /readyz says when it works."},
	{KIND_ANSWERS_FULL, 503, "The memory for answers is used up: too many clients have not read theirs.",
	 "Wait for as long as Retry-After says. Read answers to their end; --reply-memory is the limit."},
	{KIND_UPLOADS_FULL, 503, "Too many requests are being received at once.", "Wait for as long as Retry-After says."},
	{KIND_STOPPING, 503, "The server is shutting down.", "Try again once it has been started."},
	{KIND_ARCHIVE, 503, "The events are in an archive that is missing or damaged.",
	 "Restore the archive; /v1/stats and the log name it. --accept-loss gives its events up."},
	{"version-not-supported", 505, "The request has a version of HTTP other than 1.0 and 1.1.", "Use HTTP/1.1."},
	{"disk-full", 507,
	 "The free disk space is below the reserve, or the disk is full. Nothing of the request was stored; reading goes "
	 "on.",
	 "Free disk space, then publish again. --disk-reserve sets the reserve."},
};

enum { PROBLEMS = sizeof problems / sizeof *problems };

static const struct problem *problem_of(int status, const char *kind)
{
	const struct problem *found = NULL;
	for (int i = PROBLEMS; i-- > 0;)
		if (kind != NULL ? strcmp(problems[i].name, kind) == 0 : problems[i].status == status)
			found = &problems[i];
	return found != NULL ? found : problem_of(500, NULL);
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
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 415: return "Unsupported Media Type";
	case 416: return "Range Not Satisfiable";
	case 421: return "Misdirected Request";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	case 507: return "Insufficient Storage";
	default: return "Internal Server Error";
	}
}

int problem_retry_after(int status)
{
	static const struct {
		int status;
		int least;
	} waits[] = {{429, 1}, {503, 1}, {507, 5}};
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
		if (waits[i].status == status)
			return waits[i].least + (int)(random_u64() % RETRY_SPREAD_S);
	return 0;
}

/* A detail may quote bytes of the client's, or be cut within a character: if it is not valid UTF-8, only its ASCII is
 * kept. */
static void put_detail(struct doc to, const char *detail)
{
	char clean[sizeof((struct fault *)0)->text];
	struct slice text = slice_of(detail);
	if (!json_plain_text(text) && text.len < sizeof clean) {
		for (size_t i = 0; i < text.len; i++)
			clean[i] = (char)(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
		text.p = clean;
	}
	doc_text(to, "detail", text);
}

static void put_problem(struct doc to, int status, const struct fault *fault, struct problem_options form)
{
	const char *kind = fault->kind == NULL && fault->code == ERR_CLOSED ? KIND_STOPPING : fault->kind;
	struct buf type;
	buf_init(&type);
	buf_printf(&type, "\"%s/problems/%s\"", form.base, problem_of(status, kind)->name);
	doc_raw_take(to, "type", &type);
	doc_string(to, "title", problem_title(status));
	doc_i64(to, "status", status);
	put_detail(to, fault->text);
	if (fault->place >= 0)
		doc_i64(to, form.lines ? "line" : "index", fault->place);
	if (!fault->compared)
		return;
	doc_u64(to, "expected", fault->expected);
	if (fault->actual_unknown)
		doc_null(to, "actual");
	else
		doc_u64(to, "actual", fault->actual);
}

void problem_write(struct buf *out, int status, const struct fault *fault, struct problem_options form)
{
	struct document d;
	put_problem(document_begin(&d), status, fault, form);
	document_end(&d, out);
}

void problem_write_op(struct buf *out, int status, const struct fault *fault, const char *base, struct slice ref)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "op", "error");
	put_problem(root, status, fault, (struct problem_options){base, false});
	if (ref.len > 0)
		doc_raw(root, "ref", ref);
	document_end(&d, out);
}

/* `up`: relative path to the server's own pages. */
static void put_head(struct buf *out, const char *title, const char *up)
{
	buf_printf(out,
		   "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s – Tidemark</title>\n"
		   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		   "<link rel=\"icon\" href=\"%sfavicon.svg\" type=\"image/svg+xml\">\n"
		   "<link rel=\"stylesheet\" href=\"%sproblems.css\">\n<main>\n<h1>%s</h1>\n",
		   title, up, up, title);
}

static void put_list(struct buf *out)
{
	put_head(out, "Problems", "");
	buf_adds(out, "<p>Values of <code>type</code> in problem documents (RFC 9457):</p>\n<dl>\n");
	for (int i = 0; i < PROBLEMS; i++)
		buf_printf(out, "<dt><a href=\"problems/%s\">%s</a> (%d)</dt><dd>%s</dd>\n", problems[i].name,
			   problems[i].name, problems[i].status, problems[i].what);
	buf_adds(out, "</dl>\n</main>\n</html>\n");
}

bool problem_page(struct buf *out, struct slice name)
{
	if (name.len == 0) {
		put_list(out);
		return true;
	}
	for (int i = 0; i < PROBLEMS; i++) {
		const struct problem *p = &problems[i];
		if (!slice_is(name, p->name))
			continue;
		put_head(out, p->name, "../");
		buf_printf(out, "<p class=\"status\">%d %s</p>\n<p>%s</p>\n<h2>What to do</h2>\n<p>%s</p>\n", p->status,
			   problem_title(p->status), p->what, p->now);
		buf_adds(out, "<p><a href=\"../problems\">All problems</a></p>\n</main>\n</html>\n");
		return true;
	}
	return false;
}

static bool is_own_name(struct slice name)
{
	uint64_t first;
	uint64_t last;
	char text[ARCHIVE_NAME_LEN];
	snprintf(text, sizeof text, "%.*s", (int)name.len, name.p);
	return slice_begins(name, slice_of("tidemark.db")) || archive_name_parse(text, ARCHIVE_ENDING, &first, &last);
}

void problem_hide_paths(char *out, size_t size, const char *text)
{
	size_t len = 0;
	while (*text != '\0' && len + 1 < size) {
		size_t n = strcspn(text, " \",:;()");
		const char *slash = memrchr(text, '/', n);
		struct slice word = {text, n};
		if (slash != NULL) {
			word = (struct slice){slash + 1, n - (size_t)(slash + 1 - text)};
			if (!is_own_name(word))
				word = slice_of("a file");
		}
		size_t most = size - 1 - len;
		len += (size_t)snprintf(out + len, size - len, "%.*s%.*s", (int)(word.len < most ? word.len : most), word.p,
					text[n] != '\0' ? 1 : 0, text + n);
		len = len < size - 1 ? len : size - 1;
		text += n + (text[n] != '\0');
	}
	out[len] = '\0';
}
