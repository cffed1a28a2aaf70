/* Readers at the head, and which of them a commit wakes. */
#include "engine/read/cursor.h"
#include "engine/read/subscription.h"
#include "event/page_build.h"
#include "unit/engine/engine.h"

/* A reader at the head, and how often a commit woke it. */
struct follower {
	struct subscription subscription;
	struct cursor *cursor;
	struct bell bell;
	int woken;
};

static bool wait_at_head(struct subscriptions *t, struct follower *f)
{
	struct chunk chunks[8];
	int count;
	while (cursor_fill(f->cursor, chunks, 8, SIZE_MAX, &count) == CURSOR_READY) {
		size_t all = 0;
		for (int i = 0; i < count; i++)
			all += chunks[i].len;
		cursor_advance(f->cursor, chunks, count, all);
		cursor_release(chunks, count);
	}
	return subscription_add(t, &f->subscription, f->cursor);
}

static void follower_init(struct subscriptions *t, struct follower *f, const char *stream)
{
	struct filter *filter = filter_create();
	CHECK(stream == NULL || filter_add_stream(filter, slice_of(stream)) == ERR_NONE);
	*f = (struct follower){0};
	bell_init(&f->bell);
	subscription_init(&f->subscription);
	CHECK(cursor_create(feed,
			    &(struct cursor_options){(struct position){.from_head = true}, 0,
						     history_select_take(store, filter), ENCODING_WS, bell_ring, &f->bell},
			    &f->cursor) == ERR_NONE);
	CHECK(wait_at_head(t, f));
}

static void follower_finish(struct subscriptions *t, struct follower *f)
{
	subscription_remove(t, &f->subscription);
	subscription_finish(&f->subscription);
	cursor_destroy(f->cursor);
}

static void on_woken(void *arg, struct subscription *s)
{
	struct follower *f = LIST_ITEM(s, struct follower, subscription);
	CHECK(!subscription_waits(s));
	f->woken++;
	if (arg != NULL)
		CHECK(wait_at_head(arg, f));
}

static void a_commit_wakes_whom_it_concerns(void)
{
	engine_set_up(4096);
	CHECK(engine_publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"b\",\"data\":1}") == ERR_NONE);
	struct subscriptions *t;
	struct follower a, b, later, all;
	CHECK(subscriptions_create(feed, &t) == ERR_NONE);
	follower_init(t, &a, "a");
	follower_init(t, &b, "b");
	follower_init(t, &later, "later");
	follower_init(t, &all, NULL);
	CHECK(engine_publish("{\"stream\":\"a\",\"data\":2}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t); /* the first one wakes everybody: it does not know the topics yet */
	a.woken = b.woken = later.woken = all.woken = 0;

	/* Many commits, more than the ring holds, that do not concern `b`. */
	for (int i = 0; i < 100; i++) {
		CHECK(engine_publish("{\"stream\":\"a\",\"data\":\"................................................\"}") ==
		      ERR_NONE);
		subscriptions_dispatch(t, on_woken, t);
	}
	CHECK(a.woken == 100 && all.woken == 100 && b.woken == 0 && later.woken == 0);

	/* What `b` waited for comes at once, and not by way of the store. */
	CHECK(engine_publish("{\"stream\":\"b\",\"data\":2}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, NULL);
	struct chunk chunk;
	int count;
	CHECK(b.woken == 1 && cursor_fill(b.cursor, &chunk, 1, SIZE_MAX, &count) == CURSOR_READY && chunk.count == 1);
	CHECK(page_entry(chunk.page, chunk.index).seq == 104);
	cursor_release(&chunk, count);
	CHECK(a.woken == 100 && wait_at_head(t, &b) && wait_at_head(t, &all));

	/* A new topic concerns every filtered reader. */
	CHECK(engine_publish("{\"stream\":\"later\",\"data\":1}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t);
	CHECK(later.woken == 1 && cursor_after(later.cursor) == 105);
	CHECK(engine_publish("{\"stream\":\"later\",\"data\":2}") == ERR_NONE);
	int before = a.woken;
	subscriptions_dispatch(t, on_woken, t);
	CHECK(later.woken == 2 && a.woken == before);

	/* Who decided to wait before something was dispatched must look again. */
	subscription_remove(t, &later.subscription);
	CHECK(engine_publish("{\"stream\":\"later\",\"data\":3}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t);
	CHECK(!subscription_add(t, &later.subscription, later.cursor) && wait_at_head(t, &later));
	follower_finish(t, &a);
	follower_finish(t, &b);
	follower_finish(t, &later);
	follower_finish(t, &all);
	subscriptions_destroy(t);
	engine_tear_down();
}

int main(void)
{
	RUN(a_commit_wakes_whom_it_concerns);
	return check_end();
}
