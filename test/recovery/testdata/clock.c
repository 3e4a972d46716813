/* Preloaded into journald, this shifts its clock by the number of seconds in
   /etc/clock-offset. A machine cannot have its own clock. The journal is then what
   journald writes when the clock jumps. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t) {
	long failed = syscall(SYS_clock_gettime, clock, t);
	if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return failed;
	char text[32] = "";
	int fd = open("/etc/clock-offset", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, text, sizeof text - 1) > 0)
			t->tv_sec += atol(text);
		close(fd);
	}
	return 0;
}
