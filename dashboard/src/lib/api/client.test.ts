import { afterEach, describe, expect, it, vi } from 'vitest';
import { fetchPreviews, placeInstance, streamChat } from './client';
import { advice, type ApiError } from './errors';

afterEach(() => vi.unstubAllGlobals());

function answer(body: string, status = 200) {
  const fetched = vi.fn(async (_path: string, _init?: RequestInit) => new Response(body, { status }));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: ApiError) => error,
  );
}

async function textOf(chunks: ReturnType<typeof streamChat>): Promise<string> {
  let text = '';
  for await (const { choices } of chunks) text += choices[0]?.delta.content ?? '';
  return text;
}

const chunk = (content: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const chat = () => textOf(streamChat('ember', [{ role: 'user', content: 'Hi' }], new AbortController().signal));

describe('requests', () => {
  const ember = { model_id: 'ember', min_nodes: 1, sharding: 'Auto', kv: '' } as const;

  it('asks for previews of a model whose id holds a path', async () => {
    const fetched = answer('{"previews":[]}');
    await fetchPreviews({ model_id: 'org/name:q4&x', sharding: 'Auto', kv: 'q8' });
    expect(fetched.mock.calls[0]![0]).toBe('/instance/previews?model_id=org%2Fname%3Aq4%26x&sharding=Auto&kv=q8');
  });

  it('places over at least the devices asked for, cut as asked for', async () => {
    const fetched = answer('{}');
    const wanted = { model_id: 'ember', min_nodes: 3, sharding: 'Tensor', kv: '' } as const;
    await placeInstance(wanted);
    expect(JSON.parse(fetched.mock.calls[0]![1]!.body as string)).toEqual(wanted);
  });

  it('gives the reason of a refusal', async () => {
    answer('{"error":{"message":"no plan fits","type":"invalid_request_error","param":null,"code":"no_plan"}}', 400);
    expect(await failureOf(placeInstance(ember))).toMatchObject({ message: 'no plan fits', status: 400, code: 'no_plan' });
  });

  it('names the status of a refusal without a reason', async () => {
    answer('<html>', 502);
    expect((await failureOf(placeInstance(ember))).message).toContain('502');
  });
});

describe('streamChat', () => {
  it('yields chunks until [DONE]', async () => {
    answer(`${chunk('Par')}: keep-alive\n\n${chunk('is')}data: [DONE]\n\n`);
    expect(await chat()).toBe('Paris');
  });

  it('asks for a stream with usage', async () => {
    const fetched = answer('data: [DONE]\n\n');
    await chat();
    expect(JSON.parse(fetched.mock.calls[0]![1]!.body as string)).toMatchObject({
      model: 'ember',
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('fails on an error sent in the stream', async () => {
    answer(`${chunk('Par')}data: {"error":{"message":"the device left","type":"server_error"}}\n\n`);
    expect((await failureOf(chat())).message).toBe('the device left');
  });

  it('fails when the stream ends without [DONE]', async () => {
    answer(chunk('Par'));
    expect(await failureOf(chat())).toMatchObject({ code: 'interrupted' });
  });
});

describe('advice', () => {
  it('says what to do for each kind of refusal', () => {
    const cases = [
      { status: 400, code: 'context_length_exceeded' },
      { status: 404, code: 'model_not_found' },
      { status: 0, code: 'interrupted' },
      { status: 0, code: null },
      { status: 403, code: null },
      { status: 429, code: null },
      { status: 503, code: null },
      { status: 500, code: null },
      { status: 400, code: null },
    ];
    expect(new Set(cases.map(advice)).size).toBe(cases.length);
  });
});
