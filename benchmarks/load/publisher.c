#include "load/publisher.h"

#include "base/system/clock.h"
#include "load/args.h"

static void on_reply(struct conn *c, const struct message *m)
{
	struct publisher *p = c->owner;
	if (m->kind != MESSAGE_ACK)
		return;
	for (uint64_t n = 0; n < m->count; n++)
		if (++p->acked % p->batch == 0 && p->times != NULL)
			histogram_add(p->times, clock_mono_us() - p->sent_us[(p->acked / p->batch - 1) % p->window]);
	if (p->acked > p->sent)
		die("%lu events acknowledged, %lu sent", (unsigned long)p->acked, (unsigned long)p->sent);
}

void publisher_open(struct publisher *p, struct loop *loop, const struct args *a, const struct payload *payload,
		    uint64_t *numbers, struct histogram *times)
{
	p->payload = payload;
	p->batch = (unsigned)args_number(a, "batch", 1);
	p->window = (unsigned)args_number(a, "window", 1);
	p->numbers = numbers;
	p->times = times;
	p->sent = p->acked = 0;
	p->conn.owner = p;
	p->conn.on_message = on_reply;
	if (p->batch == 0 || p->window == 0 || p->window > PUBLISHER_WINDOW_MAX)
		die("batch= is at least 1, window= 1 to %d", PUBLISHER_WINDOW_MAX);
	conn_open(&p->conn, loop, args_protocol(a, "protocol"), (int)args_number(a, "port", 0), args_text(a, "path", NULL));
}

bool publisher_may(const struct publisher *p)
{
	uint64_t waiting = p->conn.protocol->acknowledges ? p->sent - p->acked : 0;
	return waiting + p->batch <= (uint64_t)p->batch * p->window && p->conn.out.len == 0;
}

void publisher_send(struct publisher *p)
{
	p->sent_us[p->sent / p->batch % p->window] = clock_mono_us();
	p->conn.protocol->publish(&p->conn.out, p->payload, *p->numbers, p->batch);
	*p->numbers += p->batch;
	p->sent += p->batch;
	conn_flush(&p->conn);
}
