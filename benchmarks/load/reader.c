#include "load/reader.h"

#include <string.h>

#include "base/system/clock.h"
#include "load/protocol.h"

static const char seq_key[] = "{\"seq\":";
static const char at_key[] = "\"at\":";

static void on_delivery(struct conn *c, const struct message *m)
{
	struct reader *r = c->owner;
	if (m->kind == MESSAGE_READY && r->next == 0)
		r->next = m->count + 1 + r->skip;
	if (m->kind != MESSAGE_EVENT)
		return;
	if (m->len < sizeof seq_key || memcmp(m->text, seq_key, sizeof seq_key - 1) != 0)
		die("not an event: %.*s", (int)m->len, m->text);
	uint64_t seq = number_at(m->text + sizeof seq_key - 1);
	if (seq != r->next)
		die("a reader waits for event %lu and gets %lu", (unsigned long)r->next, (unsigned long)seq);
	r->next += r->step;
	r->all->delivered++;
	r->all->complete += seq == r->all->until;
	if (r->all->times != NULL)
		histogram_add(r->all->times, clock_mono_us() - (int64_t)number_after(m->text, m->len, at_key));
}

void reader_open(struct reader *r, struct readers *all, struct loop *loop, const struct protocol *protocol, int port,
		 const char *target)
{
	r->all = all;
	r->conn.owner = r;
	r->conn.on_message = on_delivery;
	conn_open(&r->conn, loop, protocol, port, target);
}
