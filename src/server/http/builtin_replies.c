/* libmicrohttpd has no option for its answer to a request that it cannot parse: it sends an HTML page without a
 * Content-Type. It makes and queues that page with functions that programs also call, through the dynamic linker, which
 * finds the functions of this file first. They do the same as the library's, but for a response without a Content-Type:
 * all responses of this server have one. If the library is linked in another way, its own pages are sent
 * (docs/decisions/0031-malformed-http.md). */
#include "server/http/builtin_replies.h"

#include <dlfcn.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/message/entity.h"
#include "server/message/problem.h"

typedef struct MHD_Response *create_fn(size_t size, void *bytes, enum MHD_ResponseMemoryMode mode);
typedef enum MHD_Result queue_fn(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response);

static create_fn *create;
static queue_fn *queue;
static const char *base_path = "";
/* The page that the library made last on this thread and has not queued yet. */
static _Thread_local struct slice page;

void builtin_replies_init(const char *base)
{
	base_path = base;
	*(void **)&create = dlsym(RTLD_NEXT, "MHD_create_response_from_buffer");
	*(void **)&queue = dlsym(RTLD_NEXT, "MHD_queue_response");
	if (create == NULL || queue == NULL)
		abort(); /* cannot happen: the program is linked with the library */
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *bytes, enum MHD_ResponseMemoryMode mode)
{
	page = (struct slice){bytes, size};
	return create(size, bytes, mode);
}

static bool page_contains(const char *word)
{
	return page.len > 0 && memmem(page.p, page.len, word, strlen(word)) != NULL;
}

/* The cause of the error, as far as the page tells it. */
static const char *detail_of(unsigned status)
{
	if (page_contains("chunk size"))
		return "the size of a chunk of the body is too large (RFC 9112, 7.1)";
	if (page_contains("chunked encoding"))
		return "the chunks of the body are malformed: each is a size in hexadecimal digits, CRLF, the bytes, and "
		       "CRLF "
		       "(RFC 9112, 7.1)";
	if (page_contains("Content-Length"))
		return "Content-Length must be one number, and not too large";
	switch (status) {
	case 400:
		return "the request line or a header is malformed (RFC 9112, 3 and 5): METHOD TARGET HTTP/1.1, then NAME: "
		       "VALUE";
	case 413: return "the body is too large";
	case 431: return "the request head is too large";
	case 505: return "the server speaks HTTP/1.1 and HTTP/1.0";
	default: return "the server cannot answer this request";
	}
}

static const struct {
	const char *name;
	const char *value;
} fields[] = {
	{"Content-Type", "application/problem+json"}, {"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}};

enum { FIELDS = sizeof fields / sizeof *fields };

static void write_problem(struct buf *out, unsigned status)
{
	struct fault fault;
	fault_set(&fault, ERR_INVALID, "%s", detail_of(status));
	problem_write(out, (int)status, &fault, (struct problem_options){base_path, false});
}

/* The same answer as a problem document; NULL: no memory. */
static struct MHD_Response *make_problem(unsigned status)
{
	struct buf text;
	buf_init(&text);
	write_problem(&text, status);
	struct MHD_Response *r = buf_failed(&text) ? NULL : create(text.len, text.data, MHD_RESPMEM_MUST_COPY);
	buf_finish(&text);
	for (int i = 0; r != NULL && i < FIELDS; i++)
		MHD_add_response_header(r, fields[i].name, fields[i].value);
	return r;
}

void builtin_replies_begin(struct buf *out, int status, size_t body)
{
	char date[ENTITY_DATE_LEN] = "";
	entity_date(clock_wall_ms() / 1000, date);
	buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
		   problem_title(status), date, body);
}

/* After an invalid Content-Length the library would send the head of its answer twice, and the body once. Its earlier
 * answers on this connection are already sent, and it closes the connection when queueing fails. */
static void send_now(struct MHD_Connection *connection, unsigned status)
{
	struct buf text;
	struct buf whole;
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	buf_init(&text);
	buf_init(&whole);
	write_problem(&text, status);
	builtin_replies_begin(&whole, (int)status, text.len);
	for (int i = 0; i < FIELDS; i++)
		buf_printf(&whole, "%s: %s\r\n", fields[i].name, fields[i].value);
	buf_adds(&whole, "\r\n");
	buf_join(&whole, &text, 0, 0);
	if (!buf_failed(&whole) && send(fd, whole.data, whole.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("an answer could not be sent", "status=%u", status);
	buf_finish(&whole);
	buf_finish(&text);
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
	bool own = status >= 400 && MHD_get_response_header(response, "Content-Type") == NULL;
	bool length = own && page_contains("Content-Length");
	unsigned sent_status = status == 414 ? 431 : status; /* as the whole server: the target is part of the head */
	struct MHD_Response *problem = own && !length ? make_problem(sent_status) : NULL;
	if (length)
		send_now(connection, sent_status);
	page = (struct slice){NULL, 0};
	if (problem == NULL)
		return length ? MHD_NO : queue(connection, status, response);
	enum MHD_Result result = queue(connection, sent_status, problem);
	MHD_destroy_response(problem);
	return result;
}
