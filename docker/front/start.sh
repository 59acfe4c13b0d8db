#!/bin/sh
# Make nginx's configuration from the templates beside this file, and run nginx. docs/front.rst
# describes the variables of the environment.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

: "${FRONT_DIRECTORY:=/tmp/front}"
: "${RESPONSES_DIRECTORY:=$FRONT_DIRECTORY/proxy}"
: "${DSERVER:=dserver:5000}" "${DSERVER_LISTEN:=5000}" "${DSERVER_HOST:=}"
: "${STORE:=}" "${STORE_LISTEN:=9000}" "${STORE_HOST:=}"
: "${HTTP_LISTEN:=8080}" "${HTTPS_LISTEN:=8443}"
: "${OWN_CERTIFICATES:=$here/certificates}" "${CERTIFICATES:=/certificates}" "${ACME_CONTACT:=}"
: "${ACME_DIRECTORY:=https://acme-v02.api.letsencrypt.org/directory}"
: "${LOG_FORMAT:=plain}" "${TRUSTED_PROXIES:=}"
: "${REQUESTS_PER_SECOND:=50}" "${CONNECTIONS:=100}" "${TIMEOUT:=900}"
: "${RESOLVER:=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)}"

fail() {
    echo "$1" >&2
    exit 2
}

# check NAME VALUE PATTERN WHAT: end with a sentence if a variable does not match.
check() {
    expr "x$2" : "x$3\$" > /dev/null || fail "$1 must be $4, not '$2'."
}

# whole NAME VALUE MOST: end with a sentence if a variable is not a whole number from 1 to MOST.
whole() {
    if ! expr "x$2" : 'x[1-9][0-9]\{0,5\}$' > /dev/null || [ "$2" -gt "$3" ]; then
        fail "$1 must be a whole number from 1 to $3, not '$2'."
    fi
}

check DSERVER_HOST "$DSERVER_HOST" '[A-Za-z0-9.-]*' 'a host name'
check STORE_HOST "$STORE_HOST" '[A-Za-z0-9.-]*' 'a host name'
check ACME_DIRECTORY "$ACME_DIRECTORY" 'https://[^ ;{}$]*' 'an https URL'
check ACME_CONTACT "$ACME_CONTACT" '[^ ;{}$]*' 'an e-mail address'
case $LOG_FORMAT in plain | json) ;; *) fail "LOG_FORMAT must be plain or json, not '$LOG_FORMAT'." ;; esac
check TRUSTED_PROXIES "$TRUSTED_PROXIES" '[0-9A-Fa-f:./ ]*' 'IP addresses or networks, separated by spaces'
byte='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'
ipv4="$byte(\.$byte){3}(/(3[0-2]|[12]?[0-9]))?" ipv6='[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(/(12[0-8]|(1[01]|[1-9])?[0-9]))?'
for network in $TRUSTED_PROXIES; do
    echo "$network" | grep -Eqx "$ipv4|$ipv6" ||
        fail "TRUSTED_PROXIES must be IP addresses or networks, separated by spaces; '$network' is none."
done
whole REQUESTS_PER_SECOND "$REQUESTS_PER_SECOND" 100000
whole CONNECTIONS "$CONNECTIONS" 65535 # nginx's limit
whole TIMEOUT "$TIMEOUT" 86400
if [ -n "$DSERVER_HOST" ] && [ -n "$STORE" ]; then
    [ -n "$STORE_HOST" ] || fail 'STORE_HOST must be set where DSERVER_HOST is: the store has a name of its own.'
    names=$(printf '%s\n' "$DSERVER_HOST" "$STORE_HOST" | tr '[:upper:]' '[:lower:]')
    [ -z "$(echo "$names" | uniq -d)" ] || fail 'STORE_HOST must be another name than DSERVER_HOST.'
fi
# Of two servers at one port, nginx would ignore the second, with a warning.
shared=$({
    echo "$DSERVER_LISTEN"
    [ -z "$STORE" ] || echo "$STORE_LISTEN"
    [ -z "$DSERVER_HOST" ] || printf '%s\n' "$HTTP_LISTEN" "$HTTPS_LISTEN"
} | sort | uniq -d)
[ -z "$shared" ] || fail "DSERVER_LISTEN, STORE_LISTEN (S3_PORT in Compose), HTTP_LISTEN and HTTPS_LISTEN must be different; two are $shared."

# An IPv6 address, as /etc/resolv.conf has it.
case $RESOLVER in "["*) ;; *:*:*) RESOLVER="[$RESOLVER]" ;; esac

[ -z "$ACME_CONTACT" ] || ACME_CONTACT="contact $ACME_CONTACT;"
# Pages that load, and clients with many parts, send some requests at once.
BURST=$((REQUESTS_PER_SECOND * 4))
# Where items are small, there are many of them.
STORE_REQUESTS_PER_SECOND=$((REQUESTS_PER_SECOND * 10))
STORE_BURST=$((STORE_REQUESTS_PER_SECOND * 4))
export DSERVER DSERVER_LISTEN DSERVER_HOST STORE STORE_LISTEN STORE_HOST HTTP_LISTEN HTTPS_LISTEN \
    CERTIFICATES ACME_DIRECTORY ACME_CONTACT LOG_FORMAT REQUESTS_PER_SECOND BURST STORE_REQUESTS_PER_SECOND \
    STORE_BURST CONNECTIONS TIMEOUT RESOLVER RESPONSES_DIRECTORY

# fill TEMPLATE FILE: write a template, with the variables of the environment, into a file.
fill() {
    awk '{
        while (match($0, /\$\{[A-Z_]+\}/)) {
            name = substr($0, RSTART + 2, RLENGTH - 3)
            $0 = substr($0, 1, RSTART - 1) ENVIRON[name] substr($0, RSTART + RLENGTH)
        }
        print
    }' "$here/$1.template" > "$2"
}

# secure HOST: print the directives of TLS, with the operator's certificate of that name or one by ACME.
secure() {
    echo "listen $HTTPS_LISTEN ssl;"
    echo "server_name $1;"
    if [ -f "$OWN_CERTIFICATES/$1.pem" ]; then
        echo "ssl_certificate $OWN_CERTIFICATES/$1.pem;"
        echo "ssl_certificate_key $OWN_CERTIFICATES/$1.key;"
    else
        # shellcheck disable=SC2016 # nginx's variables
        echo 'acme_certificate authority;
            ssl_certificate $acme_certificate;
            ssl_certificate_key $acme_certificate_key;
            ssl_certificate_cache max=2;'
    fi
}

# The files of each directory are included in another block of the configuration.
rm -rf "$FRONT_DIRECTORY"
mkdir -p "$FRONT_DIRECTORY"
cd "$FRONT_DIRECTORY"
mkdir main http dserver store proxies

fill nginx.conf nginx.conf
fill dserver.conf http/dserver.conf
[ -z "$STORE" ] || fill store.conf http/store.conf
for network in $TRUSTED_PROXIES; do
    echo "set_real_ip_from $network;" >> http/real_ip.conf
    echo "$network 1;" >> proxies/networks.conf
done
if [ -n "$DSERVER_HOST" ]; then
    fill tls.conf http/tls.conf
    secure "$DSERVER_HOST" > dserver/tls.conf
    [ -z "$STORE" ] || secure "$STORE_HOST" > store/tls.conf
fi
# What listens at a port does so by IPv6 too. Where the kernel has none, nginx would not start.
if [ -e /proc/net/if_inet6 ]; then
    find http dserver store -name '*.conf' -exec sed -E -i 's/listen ([0-9]+( [^;]*)?;)/& listen [::]:\1/' {} +
fi
if grep -q acme_certificate dserver/* store/* 2> /dev/null; then
    fill acme.conf http/acme.conf
    echo 'load_module /usr/lib/nginx/modules/ngx_http_acme_module.so;' > main/acme.conf
fi

exec nginx -p "$FRONT_DIRECTORY" -c "$FRONT_DIRECTORY/nginx.conf" -e stderr -g "${NGINX_GLOBALS:-}daemon off;"
