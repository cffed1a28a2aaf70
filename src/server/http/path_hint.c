#include "server/http/path_hint.h"

#include <stdio.h>
#include <strings.h>

enum { PATH_MAX_LEN = 64, SHOWN = 200, NEAR = 2 /* at most this many wrong, missing or additional characters */ };

static int least(int a, int b, int c)
{
	int ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* The edit distance of two texts; case does not count. */
static int distance(struct slice a, const char *b)
{
	int row[PATH_MAX_LEN + 1];
	int len = (int)strlen(b);
	if (a.len > PATH_MAX_LEN || len > PATH_MAX_LEN)
		return PATH_MAX_LEN;
	for (int j = 0; j <= len; j++)
		row[j] = j;
	for (int i = 1; i <= (int)a.len; i++) {
		int diagonal = row[0];
		row[0] = i;
		for (int j = 1; j <= len; j++) {
			bool same = strncasecmp(&a.p[i - 1], &b[j - 1], 1) == 0;
			int next = least(row[j] + 1, row[j - 1] + 1, diagonal + !same);
			diagonal = row[j];
			row[j] = next;
		}
	}
	return row[len];
}

/* The edit distance between a path and that of a route. */
static int distance_to(const struct http_route *r, struct slice path)
{
	if (strchr(r->path, '{') != NULL || strlen(r->path) <= 2 * NEAR)
		return NEAR + 1;
	bool versioned = strncmp(r->path, "/v1/", 4) == 0 && slice_is(path, r->path + 3);
	return versioned ? 0 : distance(path, r->path);
}

/* The part of the most similar route's path before {}; NULL: no route is similar. */
static const char *find_near(const struct http_routes *routes, struct slice path)
{
	const char *best = NULL;
	int nearest = NEAR + 1;
	for (; routes->table != NULL; routes++) {
		for (const struct http_route *r = routes->table; r->method != NULL; r++) {
			int edits = distance_to(r, path);
			if (edits < nearest) {
				nearest = edits;
				best = r->path;
			}
		}
	}
	return best;
}

/* The part of the path that would be a name if the name contained slashes: the path without the route's segments before
 * and after {}. False: no route matches. Only names of streams and sessions may contain slashes. */
static bool find_name(struct slice path, struct slice *name)
{
	static const char *const routes[][2] = {{"/v1/sessions/", "/ack"}, {"/v1/sessions/", ""}, {"/v1/streams/", ""}};
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		size_t before = strlen(routes[i][0]);
		size_t after = strlen(routes[i][1]);
		if (path.len <= before + after || memcmp(path.p, routes[i][0], before) != 0 ||
		    memcmp(path.p + path.len - after, routes[i][1], after) != 0)
			continue;
		*name = (struct slice){path.p + before, path.len - before - after};
		if (memchr(name->p, '/', name->len) != NULL)
			return true;
	}
	return false;
}

/* The path with the slashes of the name percent-encoded. */
static bool write_slashes(struct slice path, struct slice name, char out[SHOWN])
{
	size_t len = 0;
	for (size_t i = 0; i < path.len; i++) {
		bool slash = path.p[i] == '/' && path.p + i >= name.p && path.p + i < name.p + name.len;
		if (len + 4 > SHOWN || path.p[i] <= ' ' || path.p[i] == 0x7f)
			return false;
		if (slash)
			memcpy(out + len, "%2F", 3);
		else
			out[len] = path.p[i];
		len += slash ? 3 : 1;
	}
	out[len] = '\0';
	return true;
}

void path_hint(const struct http_routes *routes, const char *base, struct slice path, char out[PATH_HINT_LEN])
{
	char written[SHOWN];
	struct slice name;
	bool slash = path.len > 1 && path.p[path.len - 1] == '/';
	struct slice bare = {path.p, path.len - slash};
	const char *near = find_near(routes, bare);
	if (near != NULL)
		snprintf(out, PATH_HINT_LEN, "there is nothing at this path; did you mean %s%s?", base, near);
	else if (find_name(path, &name) && write_slashes(path, name, written))
		snprintf(out, PATH_HINT_LEN, "there is nothing at this path; a slash in a name is written %%2F, as in %s%s",
			 base, written);
	else
		snprintf(out, PATH_HINT_LEN, "there is nothing at this path");
}
