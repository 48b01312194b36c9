// Requests to the server. Every failure is an ApiError with a sentence for a person.

export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status; // 0 when the server could not be reached
    this.code = code;
    this.retryAfter = retryAfter; // seconds, 0 if unknown
  }
}

async function once(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: method === "GET" ? {} : { "Content-Type": "application/json" },
      body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
      credentials: "same-origin",
      signal: AbortSignal.timeout(20000),
    });
  } catch {
    throw new ApiError(0, "offline", "The server cannot be reached.");
  }
  let data = null;
  try {
    data = await response.json();
  } catch {
    data = null; // an error page of a proxy in between
  }
  if (response.ok && data !== null) return data;
  throw new ApiError(
    response.status,
    data?.error?.code ?? "unknown",
    data?.error?.message ?? "Something went wrong. Try again in a moment.",
    Number(response.headers.get("retry-after")) || 0,
  );
}

/** Call the API; a lost session is renewed once. */
export async function call(method, path, body) {
  try {
    return await once(method, path, body);
  } catch (error) {
    if (error.status !== 401) throw error;
    await renew();
    return once(method, path, body);
  }
}

/** Have the server set the session cookie if there is none. */
export function renew() {
  return once("GET", "/api/conversation");
}
