#!/usr/bin/env bash
URL='{{ url }}'
KEY='YOUR_KEY'

# panel ACTION [FIELD=VALUE ...]
panel() {
  local words=(--data-urlencode "key=$KEY" --data-urlencode "action=$1") field
  for field in "${@:2}"; do words+=(--data-urlencode "$field"); done
  curl -sS --max-time 30 "$URL" "${words[@]}"
  echo
}

# panel services
# panel add service=1 link=https://example.com/p/1 quantity=1000
# panel status order=100001
# panel status orders=100001,100002
# panel refill order=100001
# panel refill_status refill=1
# panel cancel orders=100001,100002
panel balance
