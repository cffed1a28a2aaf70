/* The hash table: the same as a list, whatever is added and removed, and no longer chains than there have to be. */
#include <stdbool.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "unit/check.h"

enum { KEYS = 4000, ROUNDS = 200000, MANY = 1000000 };

struct item {
	struct map_link link;
	uint64_t key;
	bool there;
};

static struct item items[KEYS];

static bool find(const struct map *m, uint64_t hash, uint64_t key)
{
	MAP_EACH(link, m, hash)
	if (MAP_ITEM(link, struct item, link)->key == key)
		return true;
	return false;
}

static uint32_t next_random(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33);
}

/* Keys have few hashes or many; some collide in all bits. */
static void agrees_with_a_list(uint64_t hashes)
{
	struct map m;
	size_t count = 0;
	map_init(&m);
	for (size_t i = 0; i < KEYS; i++)
		items[i] = (struct item){.key = i};
	for (int round = 0; round < ROUNDS; round++) {
		/* It fills, empties and fills again. */
		bool fills = round / (ROUNDS / 5) % 2 == 0;
		struct item *item = &items[next_random() % KEYS];
		uint64_t hash = hash_number(item->key % hashes);
		CHECK(find(&m, hash, item->key) == item->there);
		if (!item->there && (fills || next_random() % 4 == 0)) {
			map_add(&m, hash, &item->link);
			item->there = true;
			count++;
		} else if (item->there && (!fills || next_random() % 4 == 0)) {
			map_remove(&m, &item->link);
			item->there = false;
			count--;
		}
		CHECK(m.count == count);
	}
	for (size_t i = 0; i < KEYS; i++)
		CHECK(find(&m, hash_number(i % hashes), i) == items[i].there);
	map_finish(&m, NULL);
	CHECK(m.count == 0 && !find(&m, hash_number(0), 0));
}

/* As it would be without. */
static void it_may_know_how_many_come(void)
{
	for (size_t expected = 0; expected < 3 * KEYS; expected += 1 + expected / 2) {
		struct map m;
		map_init(&m);
		map_expect(&m, expected);
		for (size_t i = 0; i < KEYS; i++) {
			items[i] = (struct item){.key = i};
			map_add(&m, hash_number(i), &items[i].link);
		}
		for (size_t i = 0; i < KEYS; i++)
			CHECK(find(&m, hash_number(i), i) && !find(&m, hash_number(KEYS + i), KEYS + i));
		CHECK(m.count == KEYS && map_steps(&m) < 2 * KEYS);
		map_finish(&m, NULL);
	}
}

static void it_agrees_with_a_list(void)
{
	agrees_with_a_list(KEYS);
	agrees_with_a_list(KEYS / 3);
	agrees_with_a_list(7);
}

static size_t destroyed;

static void on_destroy(struct map_link *link)
{
	(void)link;
	destroyed++;
}

static void chains_stay_short_as_it_grows(void)
{
	struct map m;
	struct map_link *links = calloc(MANY, sizeof *links);
	CHECK(links != NULL);
	map_init(&m);
	for (size_t i = 0; i < MANY; i++) {
		map_add(&m, hash_number(i), &links[i]);
		/* Between half an entry and one in a bucket, each is found among at most two. */
		if ((i & (i + 1)) == 0 || i + 1 == MANY)
			CHECK(map_steps(&m) <= 2 * (i + 1) + 16);
	}
	CHECK(m.count == MANY && m.buckets >= MANY - 1 && m.buckets <= MANY + 1);
	map_finish(&m, on_destroy);
	CHECK(destroyed == MANY && m.count == 0);
	free(links);
}

static bool short_of_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return short_of_memory ? NULL : __real_calloc(n, size);
}

static void nothing_is_lost_without_memory(void)
{
	struct map m;
	map_init(&m);
	for (size_t i = 0; i < KEYS; i++) {
		short_of_memory = i >= 100 && i < KEYS / 2;
		items[i] = (struct item){.key = i};
		map_add(&m, hash_number(i), &items[i].link);
		if (i + 1 == KEYS / 2)
			CHECK(m.buckets == 128);
	}
	for (size_t i = 0; i < KEYS; i++)
		CHECK(find(&m, hash_number(i), i));
	CHECK(m.buckets >= KEYS - 130); /* later adds made up for it: 16 buckets each */
	map_finish(&m, NULL);
}

/* Texts that XXH3 without a key puts into one bucket of 4096. */
static void chosen_texts_do_not_collide(void)
{
	struct map m;
	enum { CHOSEN = 2000 };
	struct map_link links[CHOSEN];
	char text[16];
	map_init(&m);
	for (unsigned i = 0, n = 0; n < CHOSEN; i++) {
		struct slice s = {text, (size_t)snprintf(text, sizeof text, "%u", i)};
		if (hash_fixed(s.p, s.len, 0) % 4096 == 0)
			map_add(&m, hash_text(s), &links[n++]);
	}
	CHECK(map_steps(&m) <= 2 * CHOSEN);
	map_finish(&m, NULL);
}

static void hashes_are_of_the_whole_text(void)
{
	CHECK(hash_texts(slice_of("ab"), slice_of("c")) != hash_texts(slice_of("a"), slice_of("bc")));
	CHECK(hash_texts(slice_of("a"), slice_of("a")) != hash_texts(slice_of("b"), slice_of("b")));
	CHECK(hash_texts(slice_of("a"), slice_of("b")) == hash_texts(slice_of("a"), slice_of("b")));
	CHECK(hash_text(slice_of("a")) != hash_fixed("a", 1, 0)); /* with all but certainty */
}

int main(void)
{
	RUN(it_agrees_with_a_list);
	RUN(it_may_know_how_many_come);
	RUN(chains_stay_short_as_it_grows);
	RUN(nothing_is_lost_without_memory);
	RUN(chosen_texts_do_not_collide);
	RUN(hashes_are_of_the_whole_text);
	return check_end();
}
