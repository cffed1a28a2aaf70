#include "base/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum { EXIT_USAGE = 2, GO_ON = -1, NAME_MAX_LEN = 64 };

/* Where a value came from, for the message when it is wrong. */
struct origin {
	const char *text; /* "--after", "TIDEMARK_DATA", "FILE:3" */
};

static int complain(struct origin from, const char *what, const char *value)
{
	fprintf(stderr, "tidemark: %s: %s%s%s\n", from.text, what, value != NULL ? ": " : "", value != NULL ? value : "");
	return EXIT_USAGE;
}

static int set_number(const struct option *o, struct origin from, const char *value)
{
	int64_t n;
	struct slice text = slice_of(value);
	bool fine = o->kind == OPTION_SIZE       ? units_size(text, &n)
		    : o->kind == OPTION_DURATION ? units_duration(text, &n)
						 : units_integer(text, &n);
	if (!fine) {
		const char *what = o->kind == OPTION_SIZE       ? "must be a size such as 512KiB, 64MiB or 1GiB, not"
				   : o->kind == OPTION_DURATION ? "must be a duration such as 500ms, 30s, 5m, 2h or 1d, not"
								: "must be a whole number, not";
		return complain(from, what, value);
	}
	if ((o->min != 0 || o->max != 0) && (n < o->min || n > o->max)) {
		char what[128];
		snprintf(what, sizeof what, "must be between %" PRId64 " and %" PRId64 ", not", o->min, o->max);
		return complain(from, what, value);
	}
	*(int64_t *)o->target = n;
	return GO_ON;
}

static int set_flag(const struct option *o, struct origin from, const char *value)
{
	if (!units_switch(slice_of(value), o->target))
		return complain(from, "must be true or false, not", value);
	return GO_ON;
}

static int add_text(const struct option *o, struct origin from, const char *value)
{
	struct option_texts *texts = o->target;
	if (texts->count == OPTION_TEXTS_MAX)
		return complain(from, "given too often, at most 64 times", NULL);
	texts->items[texts->count++] = value;
	return GO_ON;
}

static int set(const struct option *o, struct origin from, const char *value)
{
	switch (o->kind) {
	case OPTION_FLAG: return set_flag(o, from, value);
	case OPTION_TEXTS: return add_text(o, from, value);
	case OPTION_TEXT: *(const char **)o->target = value; return GO_ON;
	case OPTION_INTEGER:
	case OPTION_SIZE:
	case OPTION_DURATION: return set_number(o, from, value);
	case OPTION_GROUP: break;
	}
	return GO_ON;
}

static const struct option *find(const struct option *options, const char *name, size_t len)
{
	for (const struct option *o = options; o->name != NULL; o++)
		if (o->kind != OPTION_GROUP && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static void env_name(const struct option *o, char out[NAME_MAX_LEN])
{
	int n = snprintf(out, NAME_MAX_LEN, "TIDEMARK_%s", o->name);
	for (int i = 0; i < n && i < NAME_MAX_LEN; i++)
		out[i] = (char)(out[i] == '-' ? '_' : toupper((unsigned char)out[i]));
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	char *end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* One `name = value` line; blank lines and lines that begin with # are passed over. */
static int read_line(const struct option *options, struct origin from, char *line)
{
	line = trim(line);
	if (*line == '\0' || *line == '#')
		return GO_ON;
	char *equals = strchr(line, '=');
	if (equals == NULL)
		return complain(from, "must be `name = value`, not", line);
	*equals = '\0';
	char *name = trim(line);
	char *value = trim(equals + 1);
	const struct option *o = find(options, name, strlen(name));
	if (o == NULL)
		return complain(from, "no such option", name);
	if (o->kind != OPTION_TEXT && o->kind != OPTION_TEXTS)
		return set(o, from, value);
	/* Lives as long as the process: commands keep pointers into it. */
	char *copy = strdup(value);
	return copy != NULL ? set(o, from, copy) : complain(from, "out of memory", NULL);
}

static int read_file(const struct option *options, const char *path)
{
	FILE *f = fopen(path, "r");
	if (f == NULL) {
		fprintf(stderr, "tidemark: --config %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	char *line = NULL;
	size_t size = 0;
	int status = GO_ON;
	for (int number = 1; status == GO_ON && getline(&line, &size, f) >= 0; number++) {
		char where[512];
		snprintf(where, sizeof where, "%s:%d", path, number);
		status = read_line(options, (struct origin){where}, line);
	}
	free(line);
	fclose(f);
	return status;
}

static int read_environment(const struct option *options)
{
	for (const struct option *o = options; o->name != NULL; o++) {
		char name[NAME_MAX_LEN];
		env_name(o, name);
		const char *value = o->kind != OPTION_GROUP ? getenv(name) : NULL;
		if (value == NULL)
			continue;
		if (o->kind == OPTION_TEXTS)
			((struct option_texts *)o->target)->count = 0;
		int status = set(o, (struct origin){name}, value);
		if (status != GO_ON)
			return status;
	}
	return GO_ON;
}

/* The first --config on the command line, else in the environment. */
static const char *config_path(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0)
			return argv[i] + 9;
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			return argv[i + 1];
	}
	return getenv("TIDEMARK_CONFIG");
}

/* A repeatable option on the command line replaces what the environment or the file said, and then gathers. */
static void forget_lower(const struct option *o, bool *seen)
{
	if (o->kind == OPTION_TEXTS && !*seen)
		((struct option_texts *)o->target)->count = 0;
	*seen = true;
}

static const struct option *find_argument(const struct option *options, const char *arg, const char **value)
{
	*value = NULL;
	if (arg[1] != '-') {
		for (const struct option *o = options; o->name != NULL; o++)
			if (o->letter != 0 && arg[1] == o->letter) {
				*value = arg[2] != '\0' ? arg + 2 : NULL;
				return o;
			}
		return NULL;
	}
	const char *equals = strchr(arg, '=');
	*value = equals != NULL ? equals + 1 : NULL;
	return find(options, arg + 2, equals != NULL ? (size_t)(equals - arg - 2) : strlen(arg + 2));
}

static int read_arguments(const struct option *options, int argc, char **argv, int *operands)
{
	bool seen[OPTIONS_MAX] = {false};
	bool only_operands = false;
	*operands = 0;
	for (int i = 0; i < argc; i++) {
		char *arg = argv[i];
		if (only_operands || arg[0] != '-' || arg[1] == '\0') {
			argv[(*operands)++] = arg;
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			only_operands = true;
			continue;
		}
		const char *value;
		const struct option *o = find_argument(options, arg, &value);
		struct origin from = {arg};
		if (o == NULL)
			return complain(from, "no such option (see --help)", NULL);
		if (o->kind == OPTION_FLAG && value == NULL)
			value = "true";
		if (value == NULL && i + 1 >= argc)
			return complain(from, "must have a value", NULL);
		if (value == NULL)
			value = argv[++i];
		assert(o - options < OPTIONS_MAX);
		forget_lower(o, &seen[o - options]);
		int status = set(o, from, value);
		if (status != GO_ON)
			return status;
	}
	return GO_ON;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static void print_help(const struct option *options, const struct command_help *help, FILE *out)
{
	fprintf(out,
		"Usage: %s\n\n%s\n\nOptions (each also as TIDEMARK_NAME in the environment and as `name = value` in the "
		"file\nthat --config names; the command line wins over the environment over the file):\n",
		help->usage, help->summary);
	for (const struct option *o = options; o->name != NULL; o++) {
		if (o->kind == OPTION_GROUP) {
			fprintf(out, "\n%s:\n", o->name);
			continue;
		}
		char head[80];
		char letter[8] = "";
		if (o->letter != 0)
			snprintf(letter, sizeof letter, "-%c, ", o->letter);
		snprintf(head, sizeof head, "%s--%s%s%s", letter, o->name, o->value_name != NULL ? " " : "",
			 o->value_name != NULL ? o->value_name : "");
		fprintf(out, "  %-28s %s\n", head, o->help);
	}
	if (help->examples != NULL)
		fprintf(out, "\nExamples:\n%s\n", help->examples);
}

int options_parse(const struct option *options, const struct command_help *help, int argc, char **argv, int *operands)
{
	if (wants_help(argc, argv)) {
		print_help(options, help, stdout);
		return 0;
	}
	const char *path = config_path(argc, argv);
	int status = path != NULL ? read_file(options, path) : GO_ON;
	if (status == GO_ON)
		status = read_environment(options);
	if (status == GO_ON)
		status = read_arguments(options, argc, argv, operands);
	return status;
}
