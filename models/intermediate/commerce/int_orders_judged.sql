with orders as (

    select * from {{ ref('stg_commerce__orders') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

digits as (

    select * from {{ ref('currency_digits') }}

),

statuses as (

    select * from {{ ref('order_statuses') }}

),

told as (

    select
        orders.*,
        coalesce(statuses.is_purchase, true) as is_purchase
    from orders
    left join statuses on orders.status = statuses.status

),

-- An order counts once, however often it was told, and only where it could be read.
used as (

    select
        namespace,
        currency,
        row_number() over (partition by namespace order by count(distinct order_id) desc, currency) as preference
    from told
    where is_purchase and currency is not null and total is not null
        and ordered_at is not null and updated_at is not null
    group by namespace, currency

),

placed as (

    select
        told.*,
        namespaces.namespace is not null as is_known,
        coalesce(namespaces.currency, used.currency) as usual_currency
    from told
    left join namespaces on told.namespace = namespaces.namespace
    left join used on told.namespace = used.namespace and used.preference = 1

),

judged as (

    select
        placed.namespace,
        placed.order_id,
        placed.customer_id,
        placed.email,
        placed.status,
        placed.is_purchase,
        placed.ordered_at,
        placed.currency,
        case coalesce(digits.digits, 2)
            when 0 then cast(round(placed.total, 0) as decimal(18, 3))
            when 3 then cast(round(placed.total, 3) as decimal(18, 3))
            else cast(round(placed.total, 2) as decimal(18, 3))
        end as total,
        placed.lines,
        placed.updated_at,
        placed.loaded_at,
        placed.file_name,
        placed.line_number,
        case
            when placed.namespace is null then 'no_namespace'
            when not placed.is_known then 'unknown_namespace'
            when placed.order_id is null then 'no_id'
            when placed.ordered_at is null or placed.updated_at is null then 'no_time'
            -- What is no purchase adds nothing up: a shop that cancels an order may leave its amount out.
            when not placed.is_purchase then null
            when placed.total is null then 'no_amount'
            when placed.currency <> placed.usual_currency then 'another_currency'
        end as rejection_reason
    from placed
    left join digits on coalesce(placed.currency, placed.usual_currency) = digits.currency

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
