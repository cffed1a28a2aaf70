/* Sessions: taken over, moved and deleted, saved by the writer, and there again after a restart. */
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/read/session.h"
#include "unit/engine/engine.h"

/* A connected reader that only counts. */
struct counted {
	struct session_reader reader;
	int taken;
	int deleted;
	int moved;
};

static void on_news(struct session_reader *r, enum session_news news)
{
	struct counted *c = LIST_ITEM(r, struct counted, reader);
	c->taken += news == SESSION_TAKEN;
	c->deleted += news == SESSION_DELETED;
	c->moved += news == SESSION_MOVED;
}

static struct counted *reader_of(struct counted *c)
{
	*c = (struct counted){.reader.on_news = on_news};
	atomic_store(&c->reader.sent, 100);
	return c;
}

static enum err attach(const char *name, struct counted *c, uint64_t start, struct session_state *out)
{
	return sessions_attach(sessions, &(struct session_claim){slice_of(name), 0, &c->reader, NULL, start}, out, &fault);
}

static enum err ack(const char *name, const struct counted *c, uint64_t seq)
{
	uint64_t sent;
	return sessions_ack(sessions, slice_of(name), c != NULL ? &c->reader : NULL, seq, &sent);
}

static void sessions_are_taken_over_and_survive(void)
{
	struct session_state s;
	struct counted first;
	struct counted second;
	uint64_t after;
	reader_of(&first);
	reader_of(&second);
	engine_set_up(1 << 20);
	CHECK(engine_publish("{\"data\":1}\n{\"data\":2}\n{\"data\":3}") == ERR_NONE);
	CHECK(attach("s", &first, 3, &s) == ERR_NONE && s.is_new && s.acked == 3);
	CHECK(sessions_set(sessions, slice_of("s"), 0, 1) == ERR_NONE && first.moved == 1);
	CHECK(ack("s", &first, 3) == ERR_NONE); /* what it had said before it knew: changes nothing */
	CHECK(sessions_take_move(sessions, slice_of("s"), &first.reader, &after) && after == 1);
	CHECK(!sessions_take_move(sessions, slice_of("s"), &first.reader, &after));
	CHECK(ack("s", &first, 2) == ERR_INVALID); /* it was not sent since */
	atomic_store(&first.reader.sent, 2);
	CHECK(ack("s", &first, 2) == ERR_NONE);
	CHECK(ack("s", &first, 1) == ERR_NONE); /* changes nothing */
	CHECK(attach("s", &second, 3, &s) == ERR_NONE && !s.is_new && s.acked == 2);
	CHECK(first.taken == 1 && second.taken == 0);
	CHECK(ack("s", &first, 3) == ERR_GONE);
	sessions_detach(sessions, slice_of("s"), &first.reader); /* it is the second's now */
	CHECK(sessions_get(sessions, slice_of("s"), &s) && s.connected && s.acked == 2);
	CHECK(ack("nobody", NULL, 1) == ERR_NOT_FOUND);
	reader_of(&first);
	CHECK(attach("t", &first, 3, &s) == ERR_NONE);
	CHECK(sessions_delete(sessions, slice_of("t")) && first.deleted == 1 && !sessions_get(sessions, slice_of("t"), &s));
	CHECK(!sessions_delete(sessions, slice_of("t")));
	CHECK(writer_wait(writer, NULL, 10000) && sessions_saved(sessions, slice_of("s")));
	engine_close();
	engine_open(1 << 20, (struct writer_options){0});
	CHECK(sessions_get(sessions, slice_of("s"), &s) && !s.connected && s.acked == 2);
	CHECK(!sessions_get(sessions, slice_of("t"), &s));
	engine_tear_down();
}

static bool saved_when_told;

static void on_saved(struct write_op *op)
{
	saved_when_told = sessions_saved(sessions, slice_of("s"));
	bell_ring(&((struct write *)op)->bell);
}

/* Fails when such a request goes along with a commit that began before the session moved. */
static void who_waits_for_a_session_is_told_when_it_is_durable(void)
{
	struct write holder;
	struct write waiter;
	struct session_state s;
	struct counted me;
	reader_of(&me);
	engine_set_up(1 << 20);
	CHECK(engine_publish("{\"data\":1}\n{\"data\":2}") == ERR_NONE);
	CHECK(attach("s", &me, 0, &s) == ERR_NONE);
	engine_hold_writer(&holder, 1, NULL);
	CHECK(ack("s", &me, 2) == ERR_NONE);
	write_prepare(&waiter, 0, NULL);
	waiter.op.done = on_saved;
	CHECK(writer_submit(writer, &waiter.op, &fault) == ERR_NONE);
	engine_release_writer();
	bell_wait(&waiter.bell, 1);
	CHECK(saved_when_told);
	write_finish(&holder);
	write_finish(&waiter);
	engine_tear_down();
}

int main(void)
{
	RUN(sessions_are_taken_over_and_survive);
	RUN(who_waits_for_a_session_is_told_when_it_is_durable);
	return check_end();
}
