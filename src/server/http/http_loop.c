#include "server/http/http_loop.h"
#include "base/system/thread.h"

#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct http_loop {
	struct MHD_Daemon *daemon;
	http_loop_add *add;
	void *arg;
	int epoll; /* the daemon's */
	int wake;  /* eventfd */
	struct thread thread;
	pthread_mutex_t lock; /* guards `incoming` and `ending` */
	struct list incoming;
	bool ending;
};

static void wake(struct http_loop *l)
{
	uint64_t one = 1;
	(void)!write(l->wake, &one, sizeof one); /* a counter that small cannot be full */
}

/* Adds the sockets that have come in. False: the loop must end. */
static bool take_incoming(struct http_loop *l)
{
	struct list incoming;
	list_init(&incoming);
	pthread_mutex_lock(&l->lock);
	list_move_all(&incoming, &l->incoming);
	bool ending = l->ending;
	pthread_mutex_unlock(&l->lock);
	LIST_EACH (link, &incoming) {
		struct accepted_socket *a = LIST_ITEM(link, struct accepted_socket, link);
		list_remove(link);
		l->add(l->arg, a);
		free(a);
	}
	return !ending;
}

static void wait_for_events(struct http_loop *l)
{
	struct pollfd fds[] = {{.fd = l->epoll, .events = POLLIN}, {.fd = l->wake, .events = POLLIN}};
	MHD_UNSIGNED_LONG_LONG left;
	int timeout = -1;
	uint64_t count;
	if (MHD_get_timeout(l->daemon, &left) == MHD_YES)
		timeout = left < INT_MAX ? (int)left : INT_MAX;
	poll(fds, sizeof fds / sizeof *fds, timeout);
	if (fds[1].revents != 0)
		(void)!read(l->wake, &count, sizeof count);
}

static void *run(void *arg)
{
	struct http_loop *l = arg;
	while (take_incoming(l)) {
		MHD_run(l->daemon);
		wait_for_events(l);
	}
	return NULL;
}

static void loop_free(struct http_loop *l)
{
	if (l->wake >= 0)
		close(l->wake);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

enum err http_loop_start(struct MHD_Daemon *daemon, http_loop_add *add, void *arg, struct http_loop **out,
			 struct fault *fault)
{
	struct http_loop *l = calloc(1, sizeof *l);
	if (l == NULL)
		return fault_nomem(fault);
	l->daemon = daemon;
	l->add = add;
	l->arg = arg;
	l->epoll = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->incoming);
	enum err err = ERR_NONE;
	if (l->wake < 0)
		err = fault_set(fault, ERR_IO, "cannot create an eventfd: %s", strerror(errno));
	else
		err = thread_start(&l->thread, "http", run, l, fault);
	if (err)
		loop_free(l);
	else
		*out = l;
	return err;
}

void http_loop_stop(struct http_loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	thread_join(&l->thread);
	loop_free(l);
}

void http_loop_take(struct http_loop *l, struct accepted_socket *a)
{
	pthread_mutex_lock(&l->lock);
	list_append(&l->incoming, &a->link);
	pthread_mutex_unlock(&l->lock);
	wake(l);
}

void http_loop_resume(struct http_loop *l, struct MHD_Connection *connection)
{
	MHD_resume_connection(connection);
	wake(l);
}
