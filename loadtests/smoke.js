// A few seconds of ordinary traffic: every answer must be whole. Says nothing about capacity.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/smoke.js
import { checkRanking, click, rank } from './lib/rank.js';
import { options as shared, seconds } from './lib/settings.js';

export const options = shared(
  { smoke: { executor: 'constant-vus', vus: 2, duration: seconds(10), gracefulStop: '5s' } },
  { checks: ['rate==1'], plugrank_failed: ['rate==0'], plugrank_refused: ['rate==0'], plugrank_in_budget: ['rate>0.99'] },
);

export default function smoke() {
  const answer = rank();
  checkRanking(answer);
  if (Math.random() < 0.1) click(answer);
}
