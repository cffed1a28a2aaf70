#include "cli/cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/url.h"
#include "server/stream/reader_query.h"
#include "json/json.h"

enum { FAIL_TEXT_LEN = 2 * FAULT_TEXT_LEN + 4096 /* a path, and a fault */ };

static void report(const char *format, va_list args)
{
	fputs("tidemark: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void cli_report(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report(format, args);
	va_end(args);
}

int cli_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report(format, args);
	va_end(args);
	return CLI_FAILED;
}

void cli_text(struct doc to, const char *key, const char *text)
{
	struct buf safe;
	if (json_utf8(slice_of(text))) {
		doc_string(to, key, text);
		return;
	}
	buf_init(&safe);
	for (const char *p = text; *p != '\0'; p++)
		buf_add(&safe, (unsigned char)*p < 0x80 ? p : "?", 1);
	doc_text(to, key, buf_slice(&safe));
	to.of->failed = to.of->failed || buf_failed(&safe);
	buf_finish(&safe);
}

void cli_print_document(struct document *d)
{
	struct buf line;
	buf_init(&line);
	document_end(d, &line);
	cli_print(&line);
	buf_finish(&line);
}

void cli_print(const struct buf *line)
{
	if (buf_failed(line))
		cli_report("out of memory");
	else
		printf("%.*s\n", (int)line->len, line->data);
}

int cli_fail_as(bool json, const char *format, ...)
{
	char text[FAIL_TEXT_LEN];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cli_report("%s", text);
	if (json) {
		struct document d;
		struct doc root = document_begin(&d);
		doc_bool(root, "ok", false);
		cli_text(root, "fault", text);
		cli_print_document(&d);
	}
	return CLI_FAILED;
}

int cli_wrong_usage(const char *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report(format, args);
	va_end(args);
	fprintf(stderr, "See: tidemark %s --help\n", command);
	return CLI_USAGE;
}

bool cli_is_url(const char *operand)
{
	return strncmp(operand, "http://", 7) == 0 || strncmp(operand, "https://", 8) == 0;
}

const char *cli_server(const char *command, int operands, char **argv, const char *fallback)
{
	if (operands > 1) {
		cli_wrong_usage(command, "%s: only one URL is allowed, not also: %s", command, argv[1]);
		return NULL;
	}
	const char *url = operands == 1 ? argv[0] : fallback;
	if (cli_is_url(url) && strstr(url, "//")[2] != '\0')
		return url;
	cli_wrong_usage(command, "not a valid server URL (example: " CLI_URL_DEFAULT "): %s", url);
	return NULL;
}

const char *cli_source(const char *command, int operands, char **argv, const char *fallback)
{
	const char *source = operands > 0 ? argv[0] : fallback;
	if (operands > 1)
		cli_wrong_usage(command, "%s: only one directory or URL is allowed, not also: %s", command, argv[1]);
	else if (source == NULL)
		cli_wrong_usage(command, "%s: a directory or a URL is missing", command);
	return operands > 1 ? NULL : source;
}

void cli_url(struct buf *out, const char *server, const char *path)
{
	size_t len = strlen(server);
	while (len > 0 && server[len - 1] == '/')
		len--;
	buf_add(out, server, len);
	buf_adds(out, path);
}

void cli_param(struct buf *out, const char *name, const char *value)
{
	bool first = out->len == 0 || memchr(out->data, '?', out->len) == NULL;
	buf_addc(out, first ? '?' : '&');
	buf_adds(out, name);
	buf_addc(out, '=');
	url_encode(out, slice_of(value));
}

void cli_params(struct buf *out, const char *name, const struct option_texts *values)
{
	for (int i = 0; i < values->count; i++)
		cli_param(out, name, values->items[i]);
}

/* Converts the parameter at the beginning of a fault to the name of the option: max_age, --max-age. */
static void name_option(char *text)
{
	for (; *text != '\0' && *text != ':'; text++)
		if (*text == '_')
			*text = '-';
}

int cli_check(const char *command, struct slice target, unsigned allowed)
{
	struct url u;
	struct reader_query q;
	struct fault fault;
	enum err err = url_parse(&u, target) == URL_FINE ? ERR_NONE : fault_set(&fault, ERR_INVALID, "too many options");
	if (!err)
		err = reader_query_parse(&u, allowed, &q, &fault);
	url_finish(&u);
	if (err) {
		name_option(fault.text);
		return cli_wrong_usage(command, "--%s", fault.text);
	}
	reader_query_finish(&q);
	return CLI_GO_ON;
}

void cli_gap(const char *reason, uint64_t requested, uint64_t first)
{
	if (strcmp(reason, "retention") == 0)
		cli_report("gap: events %" PRIu64 " to %" PRIu64 " have been removed by retention", requested + 1,
			   first - 1);
	else if (strcmp(reason, "age") == 0)
		cli_report("gap: events %" PRIu64 " to %" PRIu64 " are older than --max-age and are skipped", requested + 1,
			   first - 1);
	else if (strcmp(reason, "epoch") == 0)
		cli_report("gap: the server has a different store now; continuing with its first event, %" PRIu64, first);
	else if (strcmp(reason, "diverged") == 0)
		cli_report("gap: %" PRIu64
			   " is on a line of history that ended before it in this store; continuing with %" PRIu64,
			   requested, first);
	else
		cli_report("gap: %" PRIu64 " is beyond the end of the log; continuing at its head", requested);
}

void cli_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double amount = (double)bytes;
	int unit = 0;
	for (; amount >= 1024 && unit < 4; unit++)
		amount /= 1024;
	snprintf(out, size, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}
