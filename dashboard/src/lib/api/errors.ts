import type { ApiErrorBody } from './types';

/** A refusal by the server, or (status 0) no answer at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export function errorFromBody(body: unknown, status: number): ApiError {
  const error = (body as Partial<ApiErrorBody> | null)?.error;
  if (error?.message) return new ApiError(error.message, status, error.code ?? null);
  return new ApiError(`The device answered with status ${status}.`, status);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('No answer from this device.', 0, 'unreachable');
}

/** What a person can do about it, in one sentence. */
export function advice(error: Pick<ApiError, 'status' | 'code'>): string {
  if (error.code === 'context_length_exceeded') return 'Start a new conversation, or shorten the message.';
  if (error.code === 'model_not_found') return 'Start this model in the cluster view, or choose a running one.';
  if (error.code === 'interrupted') return 'Retry asks again from the start of the answer.';
  if (error.status === 0) return 'Check that hearth is still running there and that the network is up, then retry.';
  if (error.status === 403) return 'Open the dashboard by this device’s own address.';
  if (error.status === 429) return 'Many requests are waiting. Retry in a moment.';
  if (error.status === 503) return 'The model is loading or moving between devices. Retry in a moment.';
  if (error.status >= 500) return 'Retry; if it happens again, the log of the device says more.';
  return 'Change the request and retry.';
}
