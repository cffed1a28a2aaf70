/* JetStream through its own client library: `bench_jetstream publish|replay port=… events=…`. */
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load/meter.h"

static const char stream[] = "bench";
static const char subject[] = "events";

static void check(natsStatus s, const char *what)
{
	if (s != NATS_OK)
		die("%s: %s", what, natsStatus_GetText(s));
}

static void publish(jsCtx *js, const struct args *a, uint64_t events)
{
	jsStreamConfig config;
	jsErrCode code;
	struct meter meter;
	struct payload payload = args_payload(a);
	struct buf data;
	const char *subjects[] = {subject};
	buf_init(&data);
	check(jsStreamConfig_Init(&config), "stream configuration");
	config.Name = stream;
	config.Subjects = subjects;
	config.SubjectsLen = 1;
	config.Storage = js_FileStorage;
	check(js_AddStream(NULL, js, &config, NULL, &code), "adding a stream");
	meter_start(&meter, a);
	for (uint64_t n = 1; n <= events; n++) {
		data.len = 0;
		payload_put(&data, &payload, n);
		check(js_PublishAsync(js, subject, data.data, (int)data.len, NULL), "publishing");
	}
	check(js_PublishAsyncComplete(js, NULL), "waiting for acknowledgements");
	figure("rate", (double)events / meter_stop(&meter));
	buf_finish(&data);
}

/* What an ordered consumer gets, counted by the library's thread. */
struct replay {
	uint64_t next;
	uint64_t last;
	pthread_mutex_t lock;
	pthread_cond_t done;
};

static void on_event(natsConnection *connection, natsSubscription *subscription, natsMsg *m, void *closure)
{
	static const char key[] = "{\"seq\":";
	struct replay *r = closure;
	(void)connection;
	(void)subscription;
	uint64_t seq = number_at(natsMsg_GetData(m) + sizeof key - 1);
	if (seq != r->next)
		die("the consumer waits for event %lu and gets %lu", (unsigned long)r->next, (unsigned long)seq);
	natsMsg_Destroy(m);
	pthread_mutex_lock(&r->lock);
	if (++r->next > r->last)
		pthread_cond_signal(&r->done);
	pthread_mutex_unlock(&r->lock);
}

static void replay(jsCtx *js, const struct args *a, uint64_t events)
{
	struct replay r = {1, events, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
	struct meter meter;
	natsSubscription *subscription;
	jsSubOptions options;
	jsErrCode code;
	check(jsSubOptions_Init(&options), "subscription options");
	options.Ordered = true;
	options.Stream = stream;
	meter_start(&meter, a);
	check(js_Subscribe(&subscription, js, subject, on_event, &r, NULL, &options, &code), "subscribing");
	natsSubscription_SetPendingLimits(subscription, -1, -1);
	pthread_mutex_lock(&r.lock);
	while (r.next <= r.last)
		pthread_cond_wait(&r.done, &r.lock);
	pthread_mutex_unlock(&r.lock);
	figure("rate", (double)events / meter_stop(&meter));
	natsSubscription_Destroy(subscription);
}

int main(int argc, char **argv)
{
	struct args a = {argv + (argc > 1 ? 2 : 1)};
	natsConnection *connection;
	jsOptions options;
	jsCtx *js;
	char url[64];
	snprintf(url, sizeof url, "nats://127.0.0.1:%d", (int)args_number(&a, "port", 0));
	check(natsConnection_ConnectTo(&connection, url), "connecting");
	check(jsOptions_Init(&options), "options");
	options.PublishAsync.MaxPending = 4000;
	options.PublishAsync.StallWait = 10000;
	check(natsConnection_JetStream(&js, connection, &options), "JetStream");
	uint64_t events = args_number(&a, "events", 1000000);
	if (argc > 1 && strcmp(argv[1], "publish") == 0)
		publish(js, &a, events);
	else if (argc > 1 && strcmp(argv[1], "replay") == 0)
		replay(js, &a, events);
	else
		die("usage: bench_jetstream publish|replay name=value…");
	jsCtx_Destroy(js);
	natsConnection_Destroy(connection);
	nats_Close();
	return 0;
}
