// The way to the server: the same API that programs use.

export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

export async function ask(path, options = {}) {
  const answer = await answerOf(path, options);
  return { ...(await bodyOf(answer)), working: answer.status === 202 };
}

/** An answer that is no JSON, and the state of the catalogue that it comes from. */
export async function askBytes(path, options = {}) {
  const answer = await answerOf(path, options);
  return { data: await answer.arrayBuffer(), generation: answer.headers.get("x-generation") };
}

const bodyOf = async (answer) => (answer.headers.get("content-type")?.includes("json") ? answer.json() : {});

async function answerOf(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refusal({ code: "unreachable", status: 0, detail: "the server does not answer", hint: "is featx serve still running?" });
  }
  if (!answer.ok) throw new Refusal({ code: "bug", status: answer.status, detail: answer.statusText, ...(await bodyOf(answer)) });
  return answer;
}

/** Ask until the work behind the answer is done; `progress` is given each answer meanwhile. */
export async function askUntilDone(path, progress, signal) {
  for (;;) {
    const answer = await ask(path, { signal });
    if (!answer.working) return answer;
    progress(answer);
    await new Promise((resolve) => setTimeout(resolve, 700));
    if (signal?.aborted) return answer;
  }
}

export const address = (path, parameters) => {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== "" && one !== null && one !== undefined) query.append(name, one);
  }
  return `${path}?${query}`;
};

export const send = (path, photo) => ask(path, { method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream" } });

export function decide(key, decision) {
  return ask("/v1/decisions", {
    method: "POST",
    keepalive: true, // it is sent even when the page is left at once
    body: JSON.stringify(decision),
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
  });
}

export const undo = (key) => ask(`/v1/decisions/${key}`, { method: "DELETE", keepalive: true });
