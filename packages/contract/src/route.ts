import Type, { type Static, type TObject, type TSchema } from 'typebox'
import type { ErrorCode } from './errors.ts'

/** Who may call: anybody (`public`), or the operator of this install (`operator`: key, console cookie or operator token). */
export type Access = 'public' | 'operator'

/** `json`, plain text, or what streams: NDJSON lines, server-sent events, raw bytes. */
export type Produces = 'json' | 'text' | 'ndjson' | 'sse' | 'bytes'

/** A route is data: server handlers, OpenAPI, clients and docs follow from it. */
export interface Route<
  Params extends TObject = TObject,
  Query extends TObject = TObject,
  Body extends TSchema = TSchema,
  Reply extends TSchema = TSchema,
  Form extends Produces = Produces,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Fastify style: `/v1/sessions/:id`. */
  readonly path: string
  readonly summary: string
  readonly access: Access
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly reply: Reply
  /** Status of success; 200 unless said otherwise. */
  readonly status: number
  readonly produces: Form
  readonly errors: readonly ErrorCode[]
}

const none = Type.Object({})

interface RouteDraft<P extends TObject, Q extends TObject, B extends TSchema, R extends TSchema, F extends Produces> {
  method: Route['method']
  path: string
  summary: string
  access?: Access
  params?: P
  query?: Q
  body?: B
  reply: R
  status?: number
  produces?: F
  errors?: readonly ErrorCode[]
}

export function route<
  R extends TSchema,
  P extends TObject = typeof none,
  Q extends TObject = typeof none,
  B extends TSchema = Type.TNull,
  F extends Produces = 'json',
>(draft: RouteDraft<P, Q, B, R, F>): Route<P, Q, B, R, F> {
  return {
    access: 'operator',
    params: none as unknown as P,
    query: none as unknown as Q,
    body: Type.Null() as unknown as B,
    status: 200,
    produces: 'json' as F,
    errors: [],
    ...draft,
  }
}

export type ParamsOf<R> = R extends Route<infer P, TObject, TSchema, TSchema> ? Static<P> : never
export type QueryOf<R> = R extends Route<TObject, infer Q, TSchema, TSchema> ? Static<Q> : never
export type BodyOf<R> = R extends Route<TObject, TObject, infer B, TSchema> ? Static<B> : never
export type ReplyOf<R> = R extends Route<TObject, TObject, TSchema, infer S> ? Static<S> : never
