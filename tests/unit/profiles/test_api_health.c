/* The health check of the monitoring profile, without an HTTP server. */
#include <semaphore.h>

#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "store/read/reader.h"
#include "unit/engine/held_writer.h"
#include "unit/server/handler_request.h"
#include "unit/temp_dir.h"

/* Fails (for want of a WebSocket server to write of) where the handler waits for the disk itself. */
static void health_waits_for_the_disk_without_a_thread(void)
{
	enum { ASKED = 3 };
	struct http_request asked[ASKED];
	struct feed *feed;
	struct sessions *sessions;
	struct pool *pool;
	struct store *store;
	struct reader *reader;
	struct fault fault;
	char dir[TEMP_DIR_LEN];
	struct api api = {.base = ""};
	struct monitoring monitoring = {.api = &api};
	temp_dir_make(dir);
	handler_requests_init();
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	api.store = store;
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	CHECK(flags_create(store, NULL, &monitoring.flags, &fault) == ERR_NONE);
	CHECK(pool_create(store, 1, &pool, &fault) == ERR_NONE);
	CHECK(feed_create(store, pool, (struct feed_options){1 << 20, 1 << 20}, &feed, &fault) == ERR_NONE);
	CHECK(sessions_create(store, NULL, &sessions, &fault) == ERR_NONE);
	CHECK(writer_create(store, feed, sessions, (struct writer_options){0}, &api.writer, &fault) == ERR_NONE);
	CHECK((monitoring.probe = probe_create(api.writer, monitoring.flags)) != NULL);
	hold_writer(api.writer);
	for (int i = 0; i < ASKED; i++) {
		asked[i] = (struct http_request){0};
		monitoring_health(&monitoring, &asked[i], reader);
		CHECK(!asked[i].done);
	}
	sem_post(&writer_goes_on);
	for (int i = 0; i < ASKED; i++)
		sem_wait(&handler_deferred);
	for (int i = 0; i < ASKED; i++) {
		CHECK(asked[i].put_off != NULL && asked[i].parts == 1 && !asked[i].done);
		handler_request_finish(&asked[i]);
	}
	writer_close(api.writer);
	probe_close(monitoring.probe);
	asked[0] = (struct http_request){0};
	monitoring_health(&monitoring, &asked[0], reader); /* is answered at once */
	CHECK(asked[0].put_off != NULL);
	handler_request_finish(&asked[0]);
	probe_destroy(monitoring.probe);
	writer_destroy(api.writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	flags_destroy(monitoring.flags);
	reader_close(reader);
	store_close(store);
	temp_dir_remove(dir);
}

int main(void)
{
	RUN(health_waits_for_the_disk_without_a_thread);
	return check_end();
}
