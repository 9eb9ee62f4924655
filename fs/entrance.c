/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/entrance.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A clone is root's to make. An ordinary user is root in a user namespace of
 * their own, and a process there may clone what its mount namespace has: a
 * child becomes that, sends us the descriptor, and is gone, and both namespaces
 * with it. Between fork and exit it calls nothing but the kernel.
 */

static int clone_mount(const char *path)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, path,
			    OPEN_TREE_CLONE | O_CLOEXEC);
}

/* One byte, and a descriptor with it. */
struct parcel {
	char byte;
	struct iovec iov;
	struct msghdr msg;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static void parcel_init(struct parcel *p)
{
	memset(p, 0, sizeof(*p));
	p->iov = (struct iovec){&p->byte, 1};
	p->msg = (struct msghdr){.msg_iov = &p->iov,
				 .msg_iovlen = 1,
				 .msg_control = p->control,
				 .msg_controllen = sizeof(p->control)};
}

static void send_fd(int sock, int fd)
{
	struct cmsghdr *head;
	struct parcel p;

	parcel_init(&p);
	head = CMSG_FIRSTHDR(&p.msg);
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	/* If it does not arrive there is none. */
	(void)!sendmsg(sock, &p.msg, MSG_NOSIGNAL);
}

/* -1: none came. */
static int receive_fd(int sock)
{
	struct cmsghdr *head;
	struct parcel p;
	int fd;

	parcel_init(&p);
	if (recvmsg(sock, &p.msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	head = CMSG_FIRSTHDR(&p.msg);
	if (!head || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static _Noreturn void clone_in_namespace(const char *path, int sock)
{
	int fd = -1;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
		fd = clone_mount(path);
	if (fd >= 0)
		send_fd(sock, fd);
	_exit(0);
}

int entrance_open(const char *path)
{
	int pair[2], fd = clone_mount(path);
	pid_t pid;

	if (fd >= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return fd;
	pid = fork();
	if (pid == 0)
		clone_in_namespace(path, pair[1]);
	close(pair[1]);
	if (pid > 0) {
		fd = receive_fd(pair[0]);
		(void)waitpid(pid, NULL, 0);
	}
	close(pair[0]);
	return fd;
}
