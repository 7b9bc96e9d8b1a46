with signals as (

    select * from {{ ref('int_email_signals') }}

),

customers as (

    select * from {{ ref('stg_platform__customers') }}
    where email is not null and {{ is_possible_address('email') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

said as (

    select
        namespace,
        email,
        signal,
        source,
        min(said_at) as said_at,
        min(received_at) as updated_at
    from signals
    group by namespace, email, signal, source, unique_key

    union all

    select
        namespace,
        email,
        'opt_in' as signal,
        'Consent' as source,
        email_opted_in_at as said_at,
        updated_at
    from customers
    where email_opted_in_at is not null

    union all

    select
        namespace,
        email,
        'unsubscribe' as signal,
        'Consent' as source,
        email_opted_out_at as said_at,
        updated_at
    from customers
    where email_opted_out_at is not null

    union all

    select
        namespace,
        email,
        'known' as signal,
        'Customer' as source,
        updated_at as said_at,
        updated_at
    from customers

),

counted as (

    select
        *,
        sum(case when signal = 'opt_in' then 1 else 0 end) over (
            partition by namespace, email
            order by said_at
        ) as opt_ins
    from said

),

limited as (

    select
        counted.*,
        row_number() over (
            partition by counted.namespace, counted.email, counted.opt_ins, counted.signal
            order by counted.said_at, counted.source
        ) as times,
        namespaces.soft_bounce_limit
    from counted
    inner join namespaces on counted.namespace = namespaces.namespace

),

decisive as (

    select
        *,
        case
            when signal = 'opt_in' then 'opted_in'
            when signal = 'known' then 'known'
            else 'unsubscribed'
        end as status
    from limited
    where signal <> 'soft_bounce' or times = soft_bounce_limit

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, email
            order by
                case when status = 'known' then 1 else 0 end, said_at desc,
                case when status = 'unsubscribed' then 0 else 1 end, source, updated_at desc
        ) as preference
    from decisive

)

select
    namespace,
    email,
    status,
    source,
    said_at as changed_at,
    {{ surrogate_key(['namespace', 'email']) }} as unique_key,
    updated_at
from ranked
where preference = 1
order by namespace, email
