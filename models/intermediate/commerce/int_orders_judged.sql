with orders as (

    select * from {{ ref('stg_commerce__orders') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

digits as (

    select * from {{ ref('currency_digits') }}

),

used as (

    select
        namespace,
        currency,
        row_number() over (partition by namespace order by count(*) desc, currency) as preference
    from orders
    where currency is not null
    group by namespace, currency

),

judged as (

    select
        orders.namespace,
        orders.order_id,
        orders.customer_id,
        orders.email,
        orders.status,
        orders.ordered_at,
        orders.currency,
        case coalesce(digits.digits, 2)
            when 0 then cast(round(orders.total, 0) as decimal(18, 3))
            when 3 then cast(round(orders.total, 3) as decimal(18, 3))
            else cast(round(orders.total, 2) as decimal(18, 3))
        end as total,
        orders.lines,
        orders.updated_at,
        orders.loaded_at,
        orders.file_name,
        orders.line_number,
        case
            when orders.namespace is null then 'no_namespace'
            when namespaces.namespace is null then 'unknown_namespace'
            when orders.order_id is null then 'no_id'
            when orders.ordered_at is null or orders.updated_at is null then 'no_time'
            when orders.total is null then 'no_amount'
            when orders.currency <> coalesce(namespaces.currency, used.currency) then 'another_currency'
        end as rejection_reason
    from orders
    left join namespaces on orders.namespace = namespaces.namespace
    left join digits on orders.currency = digits.currency
    left join used on orders.namespace = used.namespace and used.preference = 1

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, order_id, case when rejection_reason is null then 1 else 0 end
            order by updated_at desc, file_name desc, line_number desc
        ) as version
    from judged

)

select
    *,
    case
        when rejection_reason is not null then 'rejected'
        when version = 1 then 'kept'
        else 'superseded'
    end as disposition
from ranked
