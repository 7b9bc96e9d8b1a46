with signals as (

    select * from {{ ref('int_email_signals') }}

),

customers as (

    select * from {{ ref('stg_platform__customers') }}
    where email is not null and {{ is_possible_address('email') }}

),

withdrawals as (

    select * from {{ ref('stg_platform__withdrawals') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

-- A withdrawal is of the address that it names, and of the one that the customer has now.
withdrawn as (

    select
        namespace,
        email,
        withdrawn_at,
        updated_at
    from withdrawals
    where email is not null and {{ is_possible_address('email') }}

    union distinct

    select
        customers.namespace,
        customers.email,
        withdrawals.withdrawn_at,
        greatest(customers.updated_at, withdrawals.updated_at) as updated_at
    from withdrawals
    inner join customers
        on withdrawals.namespace = customers.namespace
        and withdrawals.customer_id = customers.customer_id

),

said as (

    select
        namespace,
        email,
        signal,
        source,
        unsubscribe_group,
        min(said_at) as said_at,
        min(received_at) as updated_at
    from signals
    group by namespace, email, signal, source, unsubscribe_group, unique_key

    union all

    select
        namespace,
        email,
        'opt_in' as signal,
        'Consent' as source,
        cast(null as {{ dbt.type_string() }}) as unsubscribe_group,
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
        cast(null as {{ dbt.type_string() }}) as unsubscribe_group,
        withdrawn_at as said_at,
        updated_at
    from withdrawn

    union all

    select
        namespace,
        email,
        'known' as signal,
        'Customer' as source,
        cast(null as {{ dbt.type_string() }}) as unsubscribe_group,
        updated_at as said_at,
        updated_at
    from customers

),

-- An opt-in to one group takes back what was said of that group, one to all mail what was said before.
counted as (

    select
        *,
        sum(case when signal = 'opt_in' and unsubscribe_group is null then 1 else 0 end) over (
            partition by namespace, email
            order by said_at
        ) as opt_ins,
        max(case when signal = 'opt_in' and unsubscribe_group is null then said_at end) over (
            partition by namespace, email
        ) as opted_in_at,
        max(case when signal = 'opt_in' then said_at end) over (
            partition by namespace, email, unsubscribe_group
        ) as group_opted_in_at
    from said

),

limited as (

    select
        counted.*,
        row_number() over (
            partition by counted.namespace, counted.email, counted.opt_ins, counted.signal
            order by counted.said_at, counted.source, counted.updated_at
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
            when said_at < opted_in_at or said_at < group_opted_in_at then 'taken back'
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
                case status when 'unsubscribed' then 0 when 'opted_in' then 1 else 2 end, said_at desc,
                source, updated_at desc
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
