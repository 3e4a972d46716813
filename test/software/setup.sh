# Sets up the software in its image. Nothing runs yet. Data directories are made here, and
# podman copies them into a volume when it makes one: as small as they get, since each
# machine has copies of them.

# PostgreSQL's compiler of queries is a third of the image, and no query here is worth it.
rm -f /usr/lib/*/libLLVM* /usr/lib/*/libz3*
rm -rf /var/lib/postgresql/* /etc/postgresql
install -d -o postgres -g postgres /var/lib/postgresql
postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
postgres /usr/lib/postgresql/17/bin/initdb --pgdata=/var/lib/postgresql/data --auth=trust --encoding=UTF8 \
	--locale=C.UTF-8 --wal-segsize=1
cat >>/var/lib/postgresql/data/postgresql.conf <<'CONF'
listen_addresses = '*'
jit = off
unix_socket_directories = '/tmp'
shared_buffers = 16MB
max_connections = 20
min_wal_size = 2MB
max_wal_size = 16MB
CONF
echo 'host all all all trust' >>/var/lib/postgresql/data/pg_hba.conf

# The package of the server, which is not here, would make the user.
useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin mysql
install -d -o mysql -g mysql /var/lib/mysql
cat >/etc/mysql/software.cnf <<'CONF'
[mariadbd]
user = mysql
datadir = /var/lib/mysql
socket = /tmp/mariadb.sock
pid_file = /tmp/mariadb.pid
init_file = /etc/mysql/software.sql
skip_name_resolve = ON
max_connections = 20
innodb_buffer_pool_size = 16M
innodb_data_file_path = ibdata1:4M:autoextend
innodb_autoextend_increment = 1
innodb_log_file_size = 8M
innodb_undo_tablespaces = 0
key_buffer_size = 1M
aria_pagecache_buffer_size = 8M
CONF
cat >/etc/mysql/software.sql <<'SQL'
CREATE DATABASE IF NOT EXISTS app;
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'app';
GRANT ALL ON app.* TO app@'%';
SQL
# The defaults of the file do not suit a server that only makes its tables.
grep -v init_file /etc/mysql/software.cnf >/tmp/install.cnf
mariadb-install-db --defaults-file=/tmp/install.cnf --skip-test-db --auth-root-authentication-method=normal
rm /tmp/install.cnf

cat >/etc/redis/software.conf <<'CONF'
bind 0.0.0.0
protected-mode no
dir /var/lib/redis
save ""
appendonly yes
appendfsync always
CONF
chmod 0644 /etc/redis/software.conf
chmod 0755 /etc/redis
