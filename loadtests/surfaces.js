// Lists of two surfaces, three pages each: no page repeats what one before showed.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/surfaces.js
// The server needs the surfaces `home` and `cart`; `cargo xtask load surfaces` has them.
import { check } from 'k6';
import http from 'k6/http';
import { HEADERS, anyone } from './lib/rank.js';
import { BASE_URL, BUDGET, RATE, arrivals, options as shared, seconds } from './lib/settings.js';

const PAGES = 3;

export const options = shared(
  { surfaces: arrivals(RATE / PAGES, seconds(60)) },
  { checks: ['rate==1'], http_req_failed: ['rate==0'] },
);

export default function surfaces() {
  const cart = Math.random() < 0.5;
  const body = { user_id: anyone(), surface: cart ? 'cart' : 'home', ...BUDGET };
  if (cart) body.context = { items: [`i${1 + Math.floor(Math.random() * 1000)}`] };
  const shown = new Set();
  for (let page = 0; page < PAGES; page += 1) {
    const response = http.post(`${BASE_URL}/v1/rank`, JSON.stringify(body), { headers: HEADERS, tags: { name: 'page' } });
    if (response.status !== 200) return;
    const reply = response.json();
    const before = shown.size;
    reply.items.forEach((item) => shown.add(item.item_id));
    check(reply, {
      'the surface is said': () => reply.surface === body.surface,
      'nothing is repeated': () => shown.size === before + reply.items.length,
      'ranks go on': () => reply.items.length === 0 || reply.items[0].rank === before + 1,
    });
    if (!reply.cursor) return;
    body.cursor = reply.cursor;
  }
}
