// What a shop sends all at once: rankings, pages, batches, similar items, clicks and item writes.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/mixed.js
import { check } from 'k6';
import http from 'k6/http';
import { batch } from './batch.js';
import { HEADERS, click, rank } from './lib/rank.js';
import { BASE_URL, RATE, arrivals, options as shared, seconds } from './lib/settings.js';
import pages from './surfaces.js';

const part = (share, exec) => ({ ...arrivals(RATE * share, seconds(60)), exec });

export const options = shared(
  {
    lists: part(0.5, 'lists'),
    surfaces: part(0.1, 'surfaces'),
    batches: part(0.01, 'batches'),
    similar: part(0.2, 'similar'),
    items: part(0.02, 'items'),
  },
  { checks: ['rate==1'], plugrank_failed: ['rate==0'] },
);

export function lists() {
  const answer = rank();
  if (Math.random() < 0.2) click(answer);
}

export function surfaces() {
  pages();
}

export function batches() {
  batch();
}

export function similar() {
  const id = 1 + Math.floor(Math.random() * 1000);
  const response = http.get(`${BASE_URL}/v1/items/i${id}/similar?k=10`, { tags: { name: 'similar' } });
  check(response, { 'similar items': (r) => r.status === 200 && r.json().items.length === 10 });
}

export function items() {
  const body = { title: 'A thing', categories: ['bags'], features: {} };
  const id = `load-${Math.floor(Math.random() * 50)}`;
  const response = http.put(`${BASE_URL}/v1/items/${id}`, JSON.stringify(body), { headers: HEADERS, tags: { name: 'item' } });
  check(response, { 'the item is written': (r) => r.status === 200 || r.status === 201 });
}
