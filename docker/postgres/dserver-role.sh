#!/bin/sh
# Make dserver's role and database. The role owns this database, and has no other rights.
#
# The image runs this file when it makes an empty cluster. It may be run again at any time: then the
# role gets the password of the environment.
set -eu

# In a cluster of version 0.1.0, dserver is the superuser that everything belongs to.
if [ "$(psql --no-psqlrc --tuples-only --no-align --username=dserver --dbname=template1 \
    --command='SELECT rolsuper FROM pg_roles WHERE rolname = current_user' 2>/dev/null)" = t ]; then
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=dserver --dbname=template1 \
        --set=password="$POSTGRES_PASSWORD" <<'SQL'
-- Nobody can rename the role that the session belongs to.
CREATE ROLE renaming SUPERUSER LOGIN;
\connect - renaming
ALTER ROLE dserver RENAME TO postgres;
ALTER ROLE postgres PASSWORD :'password';
\connect - postgres
DROP ROLE renaming;
SQL
fi

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=template1 \
    --set=password="$DATABASE_PASSWORD" <<'SQL'
SELECT 'CREATE ROLE dserver' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dserver') \gexec
ALTER ROLE dserver LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SELECT 'CREATE DATABASE dserver' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dserver') \gexec
ALTER DATABASE dserver OWNER TO dserver;
REVOKE ALL ON DATABASE dserver, postgres, template1 FROM PUBLIC;
\connect dserver
ALTER SCHEMA public OWNER TO dserver;
SELECT format('ALTER TABLE %s OWNER TO dserver', oid::regclass)
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND relowner <> 'dserver'::regrole \gexec
SQL
