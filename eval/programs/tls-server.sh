# nginx serves a page over TLS to a client that makes new connections and keeps them: both on the loopback.
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost 2> /dev/null
mkdir -p www logs; head -c 200000 /dev/zero | tr '\0' 'x' > www/page
cat > nginx.conf <<CONF
pid $PWD/pid; error_log $PWD/logs/error; daemon off; user root; worker_processes 1;
events {}
http { access_log off; client_body_temp_path $PWD/a; proxy_temp_path $PWD/b; fastcgi_temp_path $PWD/c; uwsgi_temp_path $PWD/d; scgi_temp_path $PWD/e;
  server { listen 127.0.0.1:18443 ssl; ssl_certificate $PWD/cert; ssl_certificate_key $PWD/key; root $PWD/www; } }
CONF
nginx -p "$PWD" -c "$PWD/nginx.conf" -e "$PWD/logs/error" &
sleep 1
while :; do
    ab -q -k -c 8 -n 20000 https://127.0.0.1:18443/page > /dev/null 2>&1
    ab -q -c 4 -n 2000 https://127.0.0.1:18443/page > /dev/null 2>&1
done
