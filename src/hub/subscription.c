#include "hub/subscription.h"

#include <assert.h>
#include <stdlib.h>

#include "hub/feed_inside.h"

enum { PAGES_AT_ONCE = 16, FIRST_TOPICS = 64 };

struct subscription_link {
	struct list list; /* in table.topics[…] */
	struct subscription *owner;
};

struct subscriptions {
	struct feed *feed;
	uint64_t seen;        /* dispatched up to here */
	uint32_t topics_seen; /* how many there were then: a new one may concern anybody who filters */
	struct list all;
	struct list wide;
	struct list *topics; /* links, by topic */
	uint32_t topics_cap;
	uint32_t narrow; /* how many wait for topics */
};

enum err subscriptions_create(struct feed *f, struct subscriptions **out)
{
	struct subscriptions *t = calloc(1, sizeof *t);
	*out = t;
	if (t == NULL)
		return ERR_NOMEM;
	t->feed = f;
	t->seen = feed_head(f);
	list_init(&t->all);
	list_init(&t->wide);
	return ERR_NONE;
}

void subscriptions_destroy(struct subscriptions *t)
{
	if (t == NULL)
		return;
	free(t->topics);
	free(t);
}

void subscription_init(struct subscription *s)
{
	list_init(&s->all);
	list_init(&s->wide);
}

void subscription_finish(struct subscription *s)
{
	free(s->links);
}

bool subscription_waits(const struct subscription *s)
{
	return !list_empty(&s->all);
}

uint64_t subscription_after(const struct subscriptions *t, const struct subscription *s, const struct cursor *c)
{
	uint64_t after = cursor_after(c);
	return subscription_waits(s) && t->seen > after ? t->seen : after;
}

void subscriptions_catch_up(struct subscriptions *t)
{
	assert(list_empty(&t->all));
	t->seen = feed_head(t->feed);
}

/* --- parking --- */

/* The heads of lists point to themselves, so that they cannot just be copied. */
static bool grow_topics(struct subscriptions *t, uint32_t topic)
{
	if (topic < t->topics_cap)
		return true;
	uint32_t cap = t->topics_cap ? t->topics_cap : FIRST_TOPICS;
	while (cap <= topic)
		cap *= 2;
	struct list *topics = malloc(cap * sizeof *topics);
	if (topics == NULL)
		return false;
	for (uint32_t i = 0; i < cap; i++)
		list_init(&topics[i]);
	for (uint32_t i = 0; i < t->topics_cap; i++)
		list_move_all(&topics[i], &t->topics[i]);
	free(t->topics);
	t->topics = topics;
	t->topics_cap = cap;
	return true;
}

static bool grow_links(struct subscription *s, uint32_t count)
{
	if (count <= s->link_cap)
		return true;
	struct subscription_link *links = malloc(count * sizeof *links);
	if (links == NULL)
		return false;
	free(s->links); /* none is in a list: it is not parked */
	s->links = links;
	s->link_cap = count;
	return true;
}

/* False when there is no memory for it. */
static bool link_topics(struct subscriptions *t, struct subscription *s, const struct selection *select)
{
	uint32_t count = selection_count(select);
	if (!grow_links(s, count) || (count > 0 && !grow_topics(t, selection_topic(select, count - 1))))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		s->links[i].owner = s;
		list_append(&t->topics[selection_topic(select, i)], &s->links[i].list);
	}
	s->link_count = count;
	t->narrow++;
	return true;
}

bool subscription_park(struct subscriptions *t, struct subscription *s, struct cursor *c)
{
	if (cursor_after(c) < t->seen)
		return false;
	struct selection *select = cursor_selection(c);
	s->cursor = c;
	s->link_count = 0;
	list_append(&t->all, &s->all);
	/* Also of what is stored but not published yet: those topics are no news by then. A later one wakes everybody. */
	bool narrow =
		select != NULL && selection_refresh(select) == ERR_NONE && selection_count(select) <= CURSOR_NARROW_TOPICS;
	if (!narrow || !link_topics(t, s, select))
		list_append(&t->wide, &s->wide);
	return true;
}

void subscription_unpark(struct subscriptions *t, struct subscription *s)
{
	if (!subscription_waits(s))
		return;
	t->narrow -= list_empty(&s->wide);
	list_remove(&s->all);
	list_remove(&s->wide);
	for (uint32_t i = 0; i < s->link_count; i++)
		list_remove(&s->links[i].list);
	s->link_count = 0;
	cursor_pass(s->cursor, t->seen);
}

/* --- dispatching --- */

static void wake_everybody(struct subscriptions *t, subscription_wake *wake, void *arg)
{
	struct list list;
	list_init(&list);
	list_move_all(&list, &t->all);
	while (!list_empty(&list)) {
		struct subscription *s = LIST_ITEM(list.next, struct subscription, all);
		subscription_unpark(t, s);
		wake(arg, s);
	}
}

static void wake_wide(struct subscriptions *t, subscription_wake *wake, void *arg)
{
	struct list list;
	list_init(&list);
	list_move_all(&list, &t->wide);
	while (!list_empty(&list)) {
		struct subscription *s = LIST_ITEM(list.next, struct subscription, wide);
		subscription_unpark(t, s);
		wake(arg, s);
	}
}

/* Whoever woke during this dispatch has read what there is, and waits for later events only. */
static void wake_topic(struct subscriptions *t, uint32_t topic, uint64_t last, subscription_wake *wake, void *arg)
{
	struct list list;
	list_init(&list);
	list_move_all(&list, &t->topics[topic]);
	while (!list_empty(&list)) {
		struct subscription_link *link = LIST_ITEM(list.next, struct subscription_link, list);
		struct subscription *s = link->owner;
		if (cursor_after(s->cursor) >= last) {
			list_remove(&link->list);
			list_append(&t->topics[topic], &link->list);
			continue;
		}
		subscription_unpark(t, s);
		wake(arg, s);
	}
}

static void dispatch_page(struct subscriptions *t, struct page *page, subscription_wake *wake, void *arg)
{
	wake_wide(t, wake, arg);
	const uint32_t *topics = t->narrow > 0 ? page_topics(page) : NULL;
	if (topics == NULL && t->narrow > 0)
		wake_everybody(t, wake, arg); /* no memory to find out whom it concerns */
	for (uint32_t i = 0; topics != NULL && i < page_count(page); i++)
		if ((i == 0 || topics[i] != topics[i - 1]) && topics[i] < t->topics_cap)
			wake_topic(t, topics[i], page_last(page), wake, arg);
	t->seen = page_last(page);
}

void subscriptions_dispatch(struct subscriptions *t, subscription_wake *wake, void *arg)
{
	for (;;) {
		struct page *pages[PAGES_AT_ONCE];
		pthread_mutex_lock(feed_lock(t->feed));
		uint64_t head = feed_head_locked(t->feed);
		int count = feed_ring_pages(t->feed, t->seen, pages, PAGES_AT_ONCE, SIZE_MAX);
		pthread_mutex_unlock(feed_lock(t->feed));
		if (head <= t->seen)
			return;
		/* Asked after the pages were taken, so that none of them holds a topic that was not counted. */
		uint32_t topics = store_topics(feed_store(t->feed));
		if (count == 0 || topics != t->topics_seen)
			wake_everybody(t, wake, arg);
		t->topics_seen = topics;
		for (int i = 0; i < count; i++) {
			dispatch_page(t, pages[i], wake, arg);
			page_unref(pages[i]);
		}
		if (count == 0)
			t->seen = head; /* the ring has gone on without us */
	}
}
