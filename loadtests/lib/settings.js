// What may be set with -e NAME=VALUE, and what every scenario has in common.

// A number; an error that names it when it is none.
export function number(name, fallback) {
  const given = __ENV[name];
  if (given === undefined || given === '') return fallback;
  const value = Number(given);
  if (!Number.isFinite(value) || value < 0) {
    throw new Error(`${name}=${given}: a number from 0 is needed, e.g. -e ${name}=${fallback}`);
  }
  return value;
}

export const BASE_URL = (__ENV.BASE_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
// Sent as `Authorization: Bearer`; empty: nothing is. A key with the scopes rank and events.
export const KEY = __ENV.KEY || '';
// Who asks: USER_PREFIX1 to USER_PREFIXn.
export const USERS = number('USERS', 1000);
export const USER_PREFIX = __ENV.USER_PREFIX === undefined ? 'u' : __ENV.USER_PREFIX;
// Items a request asks for.
export const K = number('K', 20);
// Sent as budget_ms; 0: not sent, the server's own default holds.
const BUDGET_MS = number('BUDGET_MS', 0);
// What a request says of it.
export const BUDGET = BUDGET_MS > 0 ? { budget_ms: BUDGET_MS } : {};
// Rank requests a second, where a scenario has one rate.
export const RATE = number('RATE', 50);
// Scales every duration of a scenario: 0.1 is a tenth of it.
export const SCALE = number('SCALE', 1);

// A duration in seconds, scaled, as k6 writes it. At least a second.
export function seconds(length) {
  return `${Math.max(1, Math.round(length * SCALE))}s`;
}

// An open model: requests come at their rate, however slow the answers are.
export function arrivals(rate, duration, more) {
  return { executor: 'constant-arrival-rate', rate: whole(rate), timeUnit: '1s', duration, ...callers(rate), gracefulStop: '5s', ...more };
}

// As above, the rate changing over `stages`.
export function changingArrivals(startRate, stages, more) {
  const highest = Math.max(...stages.map((stage) => stage.target));
  const rounded = stages.map((stage) => ({ ...stage, target: whole(stage.target) }));
  return {
    executor: 'ramping-arrival-rate',
    startRate: whole(startRate),
    timeUnit: '1s',
    stages: rounded,
    ...callers(highest),
    gracefulStop: '5s',
    ...more,
  };
}

function whole(rate) {
  return Math.max(1, Math.round(rate));
}

// Enough callers for answers of a fifth of a second; more are made where answers take up to a second.
function callers(rate) {
  return { preAllocatedVUs: Math.max(10, Math.ceil(rate / 5)), maxVUs: Math.max(20, Math.ceil(rate)) };
}

// The options of every scenario.
export function options(scenarios, thresholds) {
  return {
    scenarios,
    thresholds,
    summaryTrendStats: ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
    userAgent: 'plugrank-loadtests',
  };
}
