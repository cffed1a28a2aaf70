/* Which problem a fault is, where its code does not say (fault.kind): names that users see as the end of a problem's type
 * (server/message/problem.h). */
#ifndef BASE_KIND_H
#define BASE_KIND_H

#define KIND_EXPECTATION "expectation-failed"
#define KIND_QUEUE_FULL "queue-full"
#define KIND_COMMITS_FAIL "commits-failing"
#define KIND_ANSWERS_FULL "answers-full"
#define KIND_UPLOADS_FULL "uploads-full"
#define KIND_SHARE "share-used-up"
#define KIND_STOPPING "shutting-down"
#define KIND_ARCHIVE "archive-unavailable"
#define KIND_ORIGIN "foreign-origin"
#define KIND_LEASES "no-lease-left"

#endif
