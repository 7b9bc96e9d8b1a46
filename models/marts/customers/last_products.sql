with purchases as (

    select * from {{ ref('orders') }}
    where is_purchase and customer_id is not null and ordered_on <= {{ as_of() }}

),

lines as (

    select * from {{ ref('order_lines') }}
    where product_id is not null

),

views as (

    select * from {{ ref('product_views') }}
    where customer_id is not null and product_id is not null and cast(viewed_at as date) <= {{ as_of() }}

),

touched as (

    select
        purchases.namespace,
        purchases.customer_id,
        'purchased' as touch,
        lines.product_id,
        row_number() over (
            partition by purchases.namespace, purchases.customer_id
            order by purchases.ordered_at desc, purchases.order_id desc, lines.line_number
        ) as preference
    from purchases
    inner join lines
        on purchases.namespace = lines.namespace
        and purchases.order_id = lines.order_id

    union all

    select
        namespace,
        customer_id,
        'viewed' as touch,
        product_id,
        row_number() over (
            partition by namespace, customer_id
            order by viewed_at desc, session_id desc, view_number desc
        ) as preference
    from views

)

select
    namespace,
    customer_id,
    max(case when touch = 'viewed' then product_id end) as last_viewed_product_id,
    max(case when touch = 'purchased' then product_id end) as last_purchased_product_id
from touched
where preference = 1
group by namespace, customer_id
