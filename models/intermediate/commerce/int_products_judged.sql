with products as (

    select * from {{ ref('stg_commerce__products') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

judged as (

    select
        products.*,
        case
            when products.namespace is null then 'no_namespace'
            when namespaces.namespace is null then 'unknown_namespace'
            when products.product_id is null then 'no_id'
            when products.updated_at is null then 'no_time'
        end as rejection_reason
    from products
    left join namespaces on products.namespace = namespaces.namespace

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, product_id, case when rejection_reason is null then 1 else 0 end
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
