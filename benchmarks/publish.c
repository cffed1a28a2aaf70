/* Durable publishing over HTTP against what SQLite itself can do: the same table, the same pragmas, the same events,
 * the same number in a commit, one after the other in the same run.
 *
 *     bench_publish TIDEMARK DIR [SECONDS [ROUNDS]]
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/db.h"

enum { BATCH = 1000, CONNECTIONS = 2, ROUNDS_MAX = 15, STREAMS = 10, DATA_BYTES = 200 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A payload of DATA_BYTES bytes; the same for both sides. */
static void put_data(struct buf *b, int n)
{
	size_t start = b->len;
	buf_printf(b, "{\"n\":%d,\"text\":\"", n);
	while (b->len - start < DATA_BYTES - 2)
		buf_addc(b, (char)('a' + (n + (int)b->len) % 26));
	buf_adds(b, "\"}");
}

/* --- SQLite alone --- */

static double bare(const char *dir, double seconds)
{
	char path[512];
	struct fault fault;
	sqlite3 *db;
	sqlite3_stmt *insert;
	snprintf(path, sizeof path, "%s/bare.db", dir);
	struct buf data;
	buf_init(&data);
	put_data(&data, 1);
	if (db_open(path, DB_WRITE, &db, &fault) ||
	    db_prepare(db, "INSERT INTO event(seq, time, topic, id, data, sum) VALUES (?, ?, ?, ?, ?, ?)", &insert,
		       &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		exit(1);
	}
	sqlite3_wal_autocheckpoint(db, 4096); /* as often as the server writes its log back */
	sqlite3_int64 seq = 0;
	int64_t start = clock_mono_us();
	int64_t end = start + (int64_t)(seconds * 1e6);
	while (clock_mono_us() < end) {
		sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
		for (int i = 0; i < BATCH; i++) {
			sqlite3_bind_int64(insert, 1, ++seq);
			sqlite3_bind_int64(insert, 2, 1795372988850);
			sqlite3_bind_int64(insert, 3, seq % STREAMS);
			sqlite3_bind_text(insert, 5, data.data, (int)data.len, SQLITE_STATIC);
			sqlite3_bind_int64(insert, 6, (int32_t)(seq * 2654435761));
			if (sqlite3_step(insert) != SQLITE_DONE)
				die("insert");
			sqlite3_reset(insert);
		}
		if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
			die("commit");
	}
	double rate = (double)seq / ((double)(clock_mono_us() - start) / 1e6);
	sqlite3_finalize(insert);
	db_close(db);
	buf_finish(&data);
	return rate;
}

/* --- Tidemark --- */

static pid_t start_server(const char *binary, const char *dir, int *port)
{
	char data[512];
	int out[2];
	snprintf(data, sizeof data, "%s/data", dir);
	if (pipe(out) != 0)
		die("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		execl(binary, binary, "serve", "--data", data, "--listen", "127.0.0.1:0", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	char line[1024];
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "tidemark: listening on http://127.0.0.1:%d", port) == 1)
			return pid; /* the pipe stays open for the rest of what it says */
	die("the server did not start");
	return 0;
}

struct client {
	int port;
	const struct buf *request;
	int64_t end_us;
	uint64_t events;
};

static int connect_to(int port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
		die("connect");
	return fd;
}

static void *publish(void *arg)
{
	struct client *c = arg;
	int fd = connect_to(c->port);
	while (clock_mono_us() < c->end_us) {
		for (size_t sent = 0; sent < c->request->len;) {
			ssize_t n = write(fd, c->request->data + sent, c->request->len - sent);
			if (n <= 0)
				die("write");
			sent += (size_t)n;
		}
		char reply[2048];
		size_t got = 0;
		/* The reply ends with its JSON object. */
		do {
			ssize_t n = read(fd, reply + got, sizeof reply - got - 1);
			if (n <= 0)
				die("read");
			got += (size_t)n;
			reply[got] = '\0';
		} while (reply[got - 1] != '}');
		if (strncmp(reply, "HTTP/1.1 201", 12) != 0 || strstr(reply, "\"durability\":\"fsync\"") == NULL) {
			fprintf(stderr, "not stored: %s\n", reply);
			exit(1);
		}
		c->events += BATCH;
	}
	close(fd);
	return NULL;
}

/* *cpu: the generator's own share of one core. */
static double tidemark(const char *binary, const char *dir, double seconds, double *cpu)
{
	struct buf body;
	struct buf request;
	int port;
	pid_t pid = start_server(binary, dir, &port);
	buf_init(&body);
	buf_init(&request);
	for (int i = 0; i < BATCH; i++) {
		buf_printf(&body, "{\"stream\":\"s%d\",\"data\":", i % STREAMS);
		put_data(&body, i);
		buf_adds(&body, "}\n");
	}
	buf_printf(&request,
		   "POST /v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nContent-Length: "
		   "%zu\r\n\r\n",
		   body.len);
	buf_add(&request, body.data, body.len);
	struct rusage before;
	struct rusage after;
	getrusage(RUSAGE_SELF, &before);
	int64_t start = clock_mono_us();
	struct client clients[CONNECTIONS];
	pthread_t threads[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		clients[i] = (struct client){port, &request, start + (int64_t)(seconds * 1e6), 0};
		pthread_create(&threads[i], NULL, publish, &clients[i]);
	}
	uint64_t events = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		pthread_join(threads[i], NULL);
		events += clients[i].events;
	}
	double took = (double)(clock_mono_us() - start) / 1e6;
	getrusage(RUSAGE_SELF, &after);
	*cpu = ((double)(after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec) +
		(double)(after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
			 before.ru_stime.tv_usec) /
			1e6) /
	       took;
	int status;
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	/* What was acknowledged is in the store, and nothing else. */
	char command[1200];
	snprintf(command, sizeof command, "%s verify %s/data > %s/verify.txt && grep -q ': %llu events' %s/verify.txt",
		 binary, dir, dir, (unsigned long long)events, dir);
	if (status != 0 || system(command) != 0) {
		fprintf(stderr, "the store does not hold the %llu events that were acknowledged\n",
			(unsigned long long)events);
		exit(1);
	}
	buf_finish(&body);
	buf_finish(&request);
	return (double)events / took;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, ascending);
	return values[n / 2];
}

static void clear(const char *dir)
{
	char command[1024];
	snprintf(command, sizeof command, "rm -rf '%s' && mkdir -p '%s'", dir, dir);
	if (system(command) != 0)
		die("rm");
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: bench_publish TIDEMARK DIR [SECONDS [ROUNDS]]\n");
		return 2;
	}
	double seconds = argc > 3 ? atof(argv[3]) : 5;
	int rounds = argc > 4 ? atoi(argv[4]) : 3;
	double bare_rates[ROUNDS_MAX];
	double our_rates[ROUNDS_MAX];
	double cpus[ROUNDS_MAX];
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < rounds; i++) {
		clear(argv[2]);
		bare_rates[i] = bare(argv[2], seconds);
		clear(argv[2]);
		our_rates[i] = tidemark(argv[1], argv[2], seconds, &cpus[i]);
		fprintf(stderr, "round %d: bare %.0f/s, tidemark %.0f/s\n", i + 1, bare_rates[i], our_rates[i]);
	}
	clear(argv[2]);
	double b = median(bare_rates, rounds);
	double t = median(our_rates, rounds);
	printf("| what | events/s, median of %d | ratio | load generator |\n|---|---|---|---|\n", rounds);
	printf("| bare SQLite loop, %d events a commit | %.0f | 1 | – |\n", BATCH, b);
	printf("| `POST /v1/events`, NDJSON, %d events a request, %d connections | %.0f | %.2f | %.0f %% of a core |\n",
	       BATCH, CONNECTIONS, t, t / b, median(cpus, rounds) * 100);
	return 0;
}
