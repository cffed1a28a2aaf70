#include "server/message/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "server/message/field.h"
#include "server/message/peer.h"

/* An IPv4-mapped IPv6 address counts as the IPv4 address. */
static bool read_sockaddr(const struct sockaddr *from, struct address *out)
{
	const struct sockaddr_in *v4 = (const void *)from;
	const struct sockaddr_in6 *v6 = (const void *)from;
	*out = (struct address){.family = from->sa_family};
	if (from->sa_family == AF_INET) {
		memcpy(out->bytes, &v4->sin_addr, 4);
	} else if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		out->family = AF_INET;
		memcpy(out->bytes, v6->sin6_addr.s6_addr + 12, 4);
	} else if (from->sa_family == AF_INET6) {
		memcpy(out->bytes, &v6->sin6_addr, 16);
	} else {
		return false;
	}
	return true;
}

static void write_sockaddr(const struct address *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;
	memset(out, 0, sizeof *out);
	out->ss_family = (sa_family_t)a->family;
	if (a->family == AF_INET)
		memcpy(&v4->sin_addr, a->bytes, 4);
	else
		memcpy(&v6->sin6_addr, a->bytes, 16);
}

/* "192.0.2.7", "192.0.2.7:80", "2001:db8::1", "[2001:db8::1]:80" */
static bool read_text(struct slice text, struct address *out)
{
	char plain[INET6_ADDRSTRLEN];
	if (text.len > 0 && text.p[0] == '[') {
		const char *end = memchr(text.p, ']', text.len);
		text = (struct slice){text.p + 1, end != NULL ? (size_t)(end - text.p) - 1 : 0};
	} else {
		const char *colon = memchr(text.p, ':', text.len);
		if (colon != NULL && memchr(colon + 1, ':', text.len - (size_t)(colon - text.p) - 1) == NULL)
			text.len = (size_t)(colon - text.p);
	}
	if (text.len == 0 || text.len >= sizeof plain || memchr(text.p, '\0', text.len) != NULL)
		return false;
	slice_copy(plain, text);
	plain[text.len] = '\0';
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	*out = (struct address){.family = AF_INET};
	if (inet_pton(AF_INET, plain, out->bytes) == 1)
		return true;
	return inet_pton(AF_INET6, plain, &v6.sin6_addr) == 1 && read_sockaddr((const void *)&v6, out);
}

static bool has(const struct proxies *p, const struct address *a)
{
	for (int i = 0; i < p->count; i++)
		if (p->items[i].family == a->family && memcmp(p->items[i].bytes, a->bytes, sizeof a->bytes) == 0)
			return true;
	return false;
}

bool proxies_add(struct proxies *p, const char *text)
{
	struct address a;
	if (p->count == PROXIES_MAX || !read_text(slice_of(text), &a))
		return false;
	p->items[p->count++] = a;
	return true;
}

static bool is_proxy(const struct proxies *p, const struct sockaddr *from)
{
	struct address a;
	return p->count > 0 && read_sockaddr(from, &a) && has(p, &a);
}

uint64_t proxies_counted(const struct proxies *p, const struct sockaddr *from)
{
	return is_proxy(p, from) ? 0 : peer_key(from);
}

void forwarded_add(struct forwarded *f, struct slice line)
{
	if (f->count == FORWARDED_MAX)
		memmove(f->lines, f->lines + 1, sizeof f->lines - sizeof f->lines[0]);
	else
		f->count++;
	f->lines[f->count - 1] = line;
}

/* Walks the addresses of a line from the last to the first while they are trusted proxies. False: one is not. */
static bool walk_back(const struct proxies *p, struct slice line, struct sockaddr_storage *client)
{
	while (line.len > 0) {
		const char *comma = memrchr(line.p, ',', line.len);
		size_t at = comma != NULL ? (size_t)(comma - line.p) + 1 : 0;
		struct address a;
		if (!read_text(field_trim((struct slice){line.p + at, line.len - at}), &a))
			return false; /* addresses left of this one are not vouched for */
		write_sockaddr(&a, client);
		if (!has(p, &a))
			return false;
		line.len = at > 0 ? at - 1 : 0;
	}
	return true;
}

uint64_t proxies_peer(const struct proxies *p, const struct sockaddr *from, const struct forwarded *forwarded)
{
	if (!is_proxy(p, from))
		return peer_key(from);
	struct sockaddr_storage client = {0};
	for (int i = forwarded->count; i > 0 && walk_back(p, forwarded->lines[i - 1], &client);)
		i--;
	return client.ss_family != 0 ? peer_key((const void *)&client) : peer_key(from);
}
