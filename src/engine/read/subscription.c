#include "engine/read/subscription.h"

#include <assert.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "engine/read/feed_internal.h"

enum { PAGES_AT_ONCE = 16 };

/* The readers that wait for a topic; made for the first, freed with the last. */
struct awaited {
	struct map_link link; /* by number */
	uint32_t topic;
	struct list links;
	bool busy; /* its readers are being woken: it must not be freed */
};

/* The readers that wait for the same conditions on payloads, likewise. */
struct condition {
	struct map_link link; /* by where_hash */
	struct list in_all;   /* subscriptions.conditions */
	struct where *where;
	struct list waiting;
	bool busy;
};

struct subscription_link {
	struct list list; /* in awaited.links */
	struct subscription *owner;
	struct awaited *awaited;
};

struct subscriptions {
	struct feed *feed;
	uint64_t seen;       /* dispatched up to here */
	uint32_t topics_end; /* store_topics_end then: a new topic may match any filter */
	struct list all;
	struct list wide;
	struct map awaited;
	struct map by_where;
	struct list conditions;
	uint32_t narrow; /* readers that wait for topics */
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
	list_init(&t->conditions);
	map_init(&t->awaited);
	map_init(&t->by_where);
	return ERR_NONE;
}

void subscriptions_destroy(struct subscriptions *t)
{
	if (t == NULL)
		return;
	assert(list_empty(&t->all) && t->narrow == 0 && list_empty(&t->conditions));
	map_finish(&t->awaited, NULL);
	map_finish(&t->by_where, NULL);
	free(t);
}

void subscription_init(struct subscription *s)
{
	list_init(&s->all);
	list_init(&s->wide);
	list_init(&s->same);
}

void subscription_finish(struct subscription *s)
{
	assert(!subscription_waits(s));
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

/* --- waiting --- */

static struct awaited *find_awaited(const struct subscriptions *t, uint32_t topic)
{
	MAP_EACH(link, &t->awaited, hash_number(topic))
	{
		struct awaited *a = MAP_ITEM(link, struct awaited, link);
		if (a->topic == topic)
			return a;
	}
	return NULL;
}

static bool await(struct subscriptions *t, struct subscription_link *link, uint32_t topic)
{
	struct awaited *a = find_awaited(t, topic);
	if (a == NULL) {
		a = malloc(sizeof *a);
		if (a == NULL)
			return false;
		*a = (struct awaited){.topic = topic};
		list_init(&a->links);
		map_add(&t->awaited, hash_number(topic), &a->link);
	}
	link->awaited = a;
	list_append(&a->links, &link->list);
	return true;
}

static void drop_if_empty(struct subscriptions *t, struct awaited *a)
{
	if (a->busy || !list_empty(&a->links))
		return;
	map_remove(&t->awaited, &a->link);
	free(a);
}

static void await_no_more(struct subscriptions *t, struct subscription_link *link)
{
	list_remove(&link->list);
	drop_if_empty(t, link->awaited);
}

static bool grow_links(struct subscription *s, uint32_t count)
{
	assert(s->link_count == 0);
	if (count <= s->link_cap)
		return true;
	struct subscription_link *links = malloc(count * sizeof *links);
	if (links == NULL)
		return false;
	free(s->links); /* none is in a list, since the reader does not wait */
	s->links = links;
	s->link_cap = count;
	return true;
}

static void unlink_topics(struct subscriptions *t, struct subscription *s)
{
	for (uint32_t i = 0; i < s->link_count; i++)
		await_no_more(t, &s->links[i]);
	s->link_count = 0;
}

/* False when there is no memory for it. */
static bool link_topics(struct subscriptions *t, struct subscription *s, const struct selection *select)
{
	uint32_t count = selection_count(select);
	if (!grow_links(s, count))
		return false;
	for (s->link_count = 0; s->link_count < count; s->link_count++) {
		struct subscription_link *link = &s->links[s->link_count];
		link->owner = s;
		if (!await(t, link, selection_topic(select, s->link_count))) {
			unlink_topics(t, s);
			return false;
		}
	}
	t->narrow++;
	return true;
}

static struct condition *find_condition(const struct subscriptions *t, const struct where *w, uint64_t hash)
{
	MAP_EACH(link, &t->by_where, hash)
	{
		struct condition *c = MAP_ITEM(link, struct condition, link);
		if (where_same(c->where, w))
			return c;
	}
	return NULL;
}

/* False when there is no memory for it. */
static bool await_condition(struct subscriptions *t, struct subscription *s, struct where *w)
{
	assert(s->condition == NULL);
	uint64_t hash = where_hash(w);
	struct condition *c = find_condition(t, w, hash);
	if (c == NULL) {
		c = calloc(1, sizeof *c);
		if (c == NULL)
			return false;
		c->where = where_ref(w);
		list_init(&c->waiting);
		list_append(&t->conditions, &c->in_all);
		map_add(&t->by_where, hash, &c->link);
	}
	s->condition = c;
	list_append(&c->waiting, &s->same);
	return true;
}

static void drop_condition_if_empty(struct subscriptions *t, struct condition *c)
{
	if (c->busy || !list_empty(&c->waiting))
		return;
	list_remove(&c->in_all);
	map_remove(&t->by_where, &c->link);
	where_unref(c->where);
	free(c);
}

static void await_condition_no_more(struct subscriptions *t, struct subscription *s)
{
	if (s->condition == NULL)
		return;
	list_remove(&s->same);
	drop_condition_if_empty(t, s->condition);
	s->condition = NULL;
}

bool subscription_add(struct subscriptions *t, struct subscription *s, struct cursor *c)
{
	assert(!subscription_waits(s));
	if (cursor_after(c) < t->seen)
		return false;
	struct selection *select = cursor_selection(c);
	s->cursor = c;
	s->link_count = 0;
	list_append(&t->all, &s->all);
	struct where *where = selection_where(select);
	if (where != NULL && await_condition(t, s, where))
		return true;
	/* This includes topics of events that are stored but not published yet; any later topic wakes every reader. */
	bool narrow = !selection_is_wide(select) && selection_refresh(select) == ERR_NONE &&
		      selection_count(select) <= CURSOR_NARROW_TOPICS;
	if (!narrow || !link_topics(t, s, select))
		list_append(&t->wide, &s->wide);
	return true;
}

void subscription_remove(struct subscriptions *t, struct subscription *s)
{
	if (!subscription_waits(s))
		return;
	bool narrow = list_empty(&s->wide) && s->condition == NULL;
	assert(!narrow || t->narrow > 0);
	t->narrow -= narrow;
	list_remove(&s->all);
	list_remove(&s->wide);
	unlink_topics(t, s);
	await_condition_no_more(t, s);
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
		subscription_remove(t, s);
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
		subscription_remove(t, s);
		wake(arg, s);
	}
}

/* A reader that was woken during this dispatch and waits again has read these events: it waits for later ones. */
static void wake_topic(struct subscriptions *t, uint32_t topic, uint64_t last, subscription_wake *wake, void *arg)
{
	struct awaited *a = find_awaited(t, topic);
	struct list list;
	if (a == NULL)
		return;
	list_init(&list);
	list_move_all(&list, &a->links);
	assert(!a->busy);
	a->busy = true;
	while (!list_empty(&list)) {
		struct subscription_link *link = LIST_ITEM(list.next, struct subscription_link, list);
		struct subscription *s = link->owner;
		if (cursor_after(s->cursor) >= last) {
			list_remove(&link->list);
			list_append(&a->links, &link->list);
			continue;
		}
		subscription_remove(t, s);
		wake(arg, s);
	}
	a->busy = false;
	drop_if_empty(t, a);
}

/* Readers that wait again are left alone, as above. */
static void wake_waiting(struct subscriptions *t, struct condition *c, uint64_t last, subscription_wake *wake, void *arg)
{
	struct list list;
	list_init(&list);
	list_move_all(&list, &c->waiting);
	assert(!c->busy);
	c->busy = true;
	while (!list_empty(&list)) {
		struct subscription *s = LIST_ITEM(list.next, struct subscription, same);
		if (cursor_after(s->cursor) >= last) {
			list_remove(&s->same);
			list_append(&c->waiting, &s->same);
			continue;
		}
		subscription_remove(t, s);
		wake(arg, s);
	}
	c->busy = false;
	drop_condition_if_empty(t, c);
}

/* A payload is tested once with each condition, however many readers wait for it. */
static void wake_conditions(struct subscriptions *t, struct page *page, subscription_wake *wake, void *arg)
{
	struct list list;
	list_init(&list);
	list_move_all(&list, &t->conditions);
	while (!list_empty(&list)) {
		struct condition *c = LIST_ITEM(list.next, struct condition, in_all);
		list_remove(&c->in_all);
		list_append(&t->conditions, &c->in_all);
		if (page_any_holds(page, c->where))
			wake_waiting(t, c, page_last(page), wake, arg);
	}
}

static void dispatch_page(struct subscriptions *t, struct page *page, subscription_wake *wake, void *arg)
{
	assert(page_after(page) <= t->seen && t->seen < page_last(page));
	wake_wide(t, wake, arg);
	wake_conditions(t, page, wake, arg);
	const uint32_t *topics = t->narrow > 0 ? page_topics(page) : NULL;
	if (topics == NULL && t->narrow > 0)
		wake_everybody(t, wake, arg); /* no memory for the index of the page */
	for (uint32_t i = 0; topics != NULL && i < page_count(page); i++)
		if (i == 0 || topics[i] != topics[i - 1])
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
		uint32_t end = store_topics_end(feed_store(t->feed));
		if (count == 0 || end != t->topics_end)
			wake_everybody(t, wake, arg);
		t->topics_end = end;
		for (int i = 0; i < count; i++) {
			dispatch_page(t, pages[i], wake, arg);
			page_unref(pages[i]);
		}
		if (count == 0)
			t->seen = head; /* the pages have left the ring; every reader was woken */
	}
}
