with orders as (

    select * from {{ ref('stg_commerce__orders') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

judged as (

    select
        orders.*,
        case
            when orders.namespace is null then 'no_namespace'
            when namespaces.namespace is null then 'unknown_namespace'
            when orders.order_id is null then 'no_id'
            when orders.ordered_at is null or orders.updated_at is null then 'no_time'
        end as rejection_reason
    from orders
    left join namespaces on orders.namespace = namespaces.namespace

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, order_id, case when rejection_reason is null then 1 else 0 end
            order by updated_at desc, loaded_at desc, file_name desc, line_number desc
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
